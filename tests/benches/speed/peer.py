"""What the mapping of a generated hospital does, as SQL for DuckDB: the same casts, code maps, units, references and tables,
without quarantine, account and quality gates. Prints seconds, processor seconds and rows."""

import resource
import sys
import time

import duckdb

source, into, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])

LABS = [
    ("2160-0", 3016723, 8840, {"mg/dL": 1.0, "umol/L": 0.011312}),
    ("14682-9", 3016723, 8840, {"mg/dL": 1.0, "umol/L": 0.011312}),
    ("2345-7", 3004501, 8840, {"mg/dL": 1.0, "mmol/L": 18.0156}),
    ("14749-6", 3004501, 8840, {"mg/dL": 1.0, "mmol/L": 18.0156}),
    ("718-7", 3000963, 8713, {"g/dL": 1.0}),
    ("4544-3", 3023314, 8554, {"%": 1.0}),
    ("2951-2", 3019550, 8753, {"mmol/L": 1.0}),
    ("2823-3", 3023103, 8753, {"mmol/L": 1.0}),
    ("3094-0", 3013682, 8840, {"mg/dL": 1.0}),
    ("6690-2", 3000905, 8848, {"10*3/uL": 1.0}),
    ("751-8", 3013650, 8848, {"10*3/uL": 1.0}),
    ("1751-7", 3024561, 8713, {"g/dL": 1.0}),
]
SIGNS = [
    ("heart_rate", 3027018, 8541),
    ("systolic", 3004249, 8876),
    ("diastolic", 3012888, 8876),
    ("temperature_c", 3020891, 586323),
    ("spo2", 40762499, 8554),
    ("respiration_rate", 3024171, 8541),
]


def read(name):
    return f"read_csv('{source}/{name}.csv', header = true, delim = ',', quote = '\"', all_varchar = true)"


def write(table):
    return f"COPY {table} TO '{into}/{table}.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"


maps = sys.argv[4]  # The code maps of the mapping, as CSV: map, code, concept.
began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
db = duckdb.connect()
db.execute(f"SET threads = {threads}")
db.execute("SET preserve_insertion_order = false")
db.execute(f"CREATE TABLE map AS SELECT map, code, concept::BIGINT AS concept FROM read_csv('{maps}', header = true, all_varchar = true)")
db.execute("CREATE TABLE lab_unit (code VARCHAR, concept BIGINT, unit_concept BIGINT, unit VARCHAR, factor DOUBLE)")
db.executemany(
    "INSERT INTO lab_unit VALUES (?, ?, ?, ?, ?)",
    [(code, concept, unit_concept, unit, factor) for code, concept, unit_concept, units in LABS for unit, factor in units.items()],
)
ID = "(hash({}) >> 1)::BIGINT"
visit = ID.format("'visit' || encounter_id")
# Two patients of one name and day of birth are one person: their rows carry one linkage token.
token = ID.format("'person' || lower(given_name) || '/' || lower(family_name) || '/' || birth_date")
db.execute(
    f"""CREATE TABLE known AS SELECT patient_id, {token} AS person_id, sex.concept AS gender_concept_id, p.*
        EXCLUDE (patient_id) FROM {read('patients')} p JOIN map sex ON sex.map = 'sex' AND sex.code = p.sex
        WHERE try_cast(birth_date AS DATE) IS NOT NULL"""
)
db.execute(
    """CREATE TABLE person AS SELECT DISTINCT ON (person_id) person_id, gender_concept_id,
        year(try_cast(birth_date AS DATE)) AS year_of_birth, month(try_cast(birth_date AS DATE)) AS month_of_birth,
        day(try_cast(birth_date AS DATE)) AS day_of_birth, 0::BIGINT AS race_concept_id, 0::BIGINT AS ethnicity_concept_id,
        sex AS gender_source_value, 'patients' AS cohortium_source FROM known"""
)
db.execute(
    f"""CREATE TABLE observation_period AS SELECT {ID.format("'period' || patient_id")} AS observation_period_id,
        person_id, try_cast(registered_on AS DATE) AS observation_period_start_date,
        DATE '2025-12-31' AS observation_period_end_date, 32817::BIGINT AS period_type_concept_id, 'patients' AS cohortium_source
        FROM known WHERE try_cast(registered_on AS DATE) IS NOT NULL"""
)
db.execute(
    f"""CREATE TABLE visit_occurrence AS SELECT DISTINCT ON (visit_occurrence_id) {visit} AS visit_occurrence_id,
        person_id, kind.concept AS visit_concept_id, try_cast(admitted_at AS TIMESTAMP)::DATE AS visit_start_date,
        try_cast(admitted_at AS TIMESTAMP) AS visit_start_datetime, try_cast(discharged_at AS TIMESTAMP)::DATE AS visit_end_date,
        try_cast(discharged_at AS TIMESTAMP) AS visit_end_datetime, 32817::BIGINT AS visit_type_concept_id,
        encounter_type AS visit_source_value, 'encounters' AS cohortium_source
        FROM {read('encounters')} e JOIN known USING (patient_id)
        JOIN map kind ON kind.map = 'visit' AND kind.code = e.encounter_type
        WHERE try_cast(admitted_at AS TIMESTAMP) IS NOT NULL AND try_cast(discharged_at AS TIMESTAMP) IS NOT NULL"""
)
MEASUREMENT = """measurement_id, person_id, concept AS measurement_concept_id, moment::DATE AS measurement_date,
    moment AS measurement_datetime, 32817::BIGINT AS measurement_type_concept_id, value AS value_as_number, unit_concept AS unit_concept_id,
    visit_occurrence_id, source_value AS measurement_source_value, unit_source_value, origin AS cohortium_source"""
signs = " UNION ALL ".join(
    f"""SELECT {ID.format(f"'{concept}' || vital_id")} AS measurement_id, patient_id, {concept}::BIGINT AS concept,
        try_cast(taken_at AS TIMESTAMP) AS moment, try_cast({column} AS DOUBLE) AS value, {unit}::BIGINT AS unit_concept,
        {visit} AS visit_occurrence_id, NULL::VARCHAR AS source_value, NULL::VARCHAR AS unit_source_value, 'vitals' AS origin
        FROM vitals WHERE {column} IS NOT NULL AND {column} <> ''"""
    for column, concept, unit in SIGNS
)
db.execute(f"CREATE TABLE vitals AS SELECT * FROM {read('vitals')}")
db.execute(
    f"""CREATE TABLE measurement AS SELECT {MEASUREMENT} FROM (
        SELECT {ID.format("'lab' || lab_id")} AS measurement_id, patient_id, u.concept, try_cast(taken_at AS TIMESTAMP) AS moment,
            try_cast(value AS DOUBLE) * u.factor AS value, u.unit_concept, {visit} AS visit_occurrence_id, l.loinc AS source_value,
            l.unit AS unit_source_value, 'labs' AS origin
            FROM {read('labs')} l JOIN lab_unit u ON u.code = l.loinc AND u.unit = replace(l.unit, 'µ', 'u')
        UNION ALL
        SELECT {ID.format("'bmi' || encounter_id")}, patient_id, 3038553, try_cast(admitted_at AS TIMESTAMP), try_cast(bmi AS DOUBLE), 9531,
            {visit}, NULL, NULL, 'encounters' FROM {read('encounters')} WHERE bmi IS NOT NULL AND bmi <> ''
        UNION ALL {signs}) facts JOIN known USING (patient_id)
        WHERE moment IS NOT NULL AND value IS NOT NULL
        AND visit_occurrence_id IN (SELECT visit_occurrence_id FROM visit_occurrence)"""
)
db.execute(f"CREATE TABLE diagnoses AS SELECT * FROM {read('diagnoses')}")
db.execute(
    f"""CREATE TABLE condition_occurrence AS SELECT {ID.format("'condition' || diagnosis_id")} AS condition_occurrence_id,
        person_id, c.concept AS condition_concept_id, try_cast(recorded_on AS DATE) AS condition_start_date,
        32817::BIGINT AS condition_type_concept_id, r.concept AS condition_status_concept_id, {visit} AS visit_occurrence_id,
        d.icd10 AS condition_source_value, 'diagnoses' AS cohortium_source
        FROM diagnoses d JOIN known USING (patient_id) JOIN map c ON c.map = 'diagnosis' AND c.code = d.icd10 JOIN map r ON r.map = 'role' AND r.code = d.role
        WHERE d.icd10 IS DISTINCT FROM 'Z00.00' AND try_cast(recorded_on AS DATE) IS NOT NULL
        AND {visit} IN (SELECT visit_occurrence_id FROM visit_occurrence)"""
)
db.execute(
    f"""CREATE TABLE observation AS
        SELECT {ID.format("'language' || patient_id")} AS observation_id, person_id, 40758030::BIGINT AS observation_concept_id,
            try_cast(registered_on AS DATE) AS observation_date, 32817::BIGINT AS observation_type_concept_id,
            l.concept AS value_as_concept_id, p.language AS value_source_value, NULL::BIGINT AS visit_occurrence_id,
            NULL::VARCHAR AS observation_source_value, 'patients' AS cohortium_source
            FROM known p JOIN map l ON l.map = 'language' AND l.code = p.language
            WHERE try_cast(registered_on AS DATE) IS NOT NULL
        UNION ALL
        SELECT {ID.format("'observation' || diagnosis_id")}, person_id, 0, try_cast(recorded_on AS DATE), 32817, NULL, NULL, {visit}, icd10,
            'diagnoses' FROM diagnoses JOIN known USING (patient_id) WHERE icd10 = 'Z00.00'
            AND try_cast(recorded_on AS DATE) IS NOT NULL AND {visit} IN (SELECT visit_occurrence_id FROM visit_occurrence)"""
)
tables = ["person", "observation_period", "visit_occurrence", "measurement", "condition_occurrence", "observation"]
for table in tables:
    db.execute(write(table))
seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
rows = sum(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)
print(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, rows)
