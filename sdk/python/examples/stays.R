# Length of stay and readmission in R, from the files that stays.py writes or `cohortium subscription checkout` lands, and from a Delta
# Sharing table. This file is not run by the tests: R is not among what they install.
#
# Verify first: `cohortium release verify FOLDER --anchor CONSORTIUM_ID` ends with 0 before anything of the folder is read.

library(arrow)
library(ggplot2)

answer <- read_parquet("answer.parquet")
ggplot(answer, aes(site, days, ymin = `days low`, ymax = `days high`)) +
  geom_pointrange() +
  labs(title = "mean stay, with the interval of the noise (95 %)", y = "days", x = NULL)

# What is suppressed is NA: unknown, and not zero.
counts <- read_parquet("counts.parquet")
inner <- subset(counts, site != "(all)" & age != "(all)")
ggplot(inner, aes(age, site, fill = patients)) +
  geom_tile() +
  scale_fill_continuous(na.value = "grey")

# The same rows as text: `missing = "NA"` was said when the file was written.
rows <- read.csv("rows.csv", na.strings = "NA")
aggregate(days ~ age, rows, mean)

# A live table, through the unmodified client for Python: the profile is the file that the node's operator has handed out. What comes this
# way is on the word of the node that serves it.
delta_sharing <- reticulate::import("delta_sharing")
stays <- delta_sharing$load_as_pandas("researcher.share#study.release.stays")
