"""A live table of a node, through the unmodified client of Delta Sharing: pip install delta-sharing.

    python delta_sharing_table.py researcher.share study.release.stays

What comes this way is on the word of the node that serves it: only the folder of a release can be verified offline.
"""

import sys

import delta_sharing

profile, table = sys.argv[1:]
print(delta_sharing.load_as_pandas(f"{profile}#{table}"))
