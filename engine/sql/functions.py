"""The functions that a query may call, by dialect. What is not listed is refused, also when the engine gets new ones.

They compute from their arguments. Not here: what reads files, settings, variables, the catalog, the session or
its user, what runs text as SQL, what raises its argument as an error, what sleeps or writes."""

from collections.abc import Mapping

_DUCKDB = """
abs acos acosh add age ago any_value apply approx_count_distinct approx_quantile approx_top_k arbitrary arg_max
arg_max_null arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg array_aggr
array_aggregate array_append array_apply array_cat array_concat array_contains array_cosine_distance
array_cosine_similarity array_cross_product array_distance array_distinct array_dot_product array_extract
array_filter array_grade_up array_has array_has_all array_has_any array_indexof array_inner_product array_intersect
array_length array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front array_position
array_prepend array_push_back array_push_front array_reduce array_resize array_reverse array_reverse_sort
array_select array_slice array_sort array_to_json array_to_string array_transform array_unique array_value
array_where array_zip ascii asin asinh atan atan2 atanh avg bar base64 bin bit_and bit_count bit_length bit_or
bit_position bit_xor bitstring bitstring_agg bool_and bool_or cardinality cbrt ceil ceiling century char_length
character_length chr coalesce concat concat_ws contains corr cos cosh cot count count_if count_star countif
covar_pop covar_samp cume_dist current_date current_localtime current_localtimestamp damerau_levenshtein date_add
date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek
dayofyear days_in_month decade decode degrees dense_rank divide editdist3 element_at encode ends_with entropy
enum_code enum_first enum_last enum_range enum_range_boundary epoch epoch_ms epoch_ns epoch_us equi_width_bins era
even exp factorial favg fdiv fill filter first first_value flatten floor fmod format format_bytes
formatreadabledecimalsize formatreadablesize from_base64 from_binary from_hex from_json from_json_strict fsum gamma
gcd gen_random_uuid generate_series geomean geometric_mean get_bit get_current_time get_current_timestamp grade_up
greatest greatest_common_divisor group_concat grouping grouping_id hamming hash hex histogram histogram_exact hour
if ifnull instr isfinite isinf isnan isodow isoyear jaccard jaro_similarity jaro_winkler_similarity json json_array
json_array_length json_contains json_exists json_extract json_extract_path json_extract_path_text
json_extract_string json_group_array json_group_object json_keys json_merge_patch json_object json_pretty json_quote
json_structure json_transform json_transform_strict json_type json_valid json_value julian kahan_sum kurtosis
kurtosis_pop lag last last_day last_value lcase lcm lead least least_common_multiple left left_grapheme len length
length_grapheme levenshtein lgamma list list_aggr list_aggregate list_any_value list_append list_apply
list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_cat
list_concat list_contains list_cosine_distance list_cosine_similarity list_count list_distance list_distinct
list_dot_product list_element list_entropy list_extract list_filter list_first list_grade_up list_has list_has_all
list_has_any list_histogram list_indexof list_inner_product list_intersect list_kurtosis list_kurtosis_pop list_last
list_mad list_max list_median list_min list_mode list_negative_dot_product list_negative_inner_product list_pack
list_position list_prepend list_product list_reduce list_resize list_reverse list_reverse_sort list_select list_sem
list_skewness list_slice list_sort list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform
list_unique list_value list_var_pop list_var_samp list_where list_zip listagg ln log log10 log2 lower lpad ltrim mad
make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz map map_concat map_contains
map_contains_entry map_contains_value map_entries map_extract map_extract_value map_from_entries map_keys map_values
max max_by md5 md5_number mean median microsecond millennium millisecond min min_by minute mismatches mod mode month
monthname multiply nanosecond nextafter nfc_normalize normalized_interval now nth_value ntile nullif octet_length
ord parse_dirname parse_dirpath parse_filename parse_formatted_bytes parse_path percent_rank percentile_cont
percentile_disc pi position pow power prefix printf product quantile quantile_cont quantile_disc quarter radians
random range rank rank_dense reduce regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches
regexp_replace regexp_split_to_array regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
regr_sxy regr_syy repeat replace reservoir_quantile reverse right right_grapheme round round_even roundbankers row
row_number row_to_json rpad rtrim second sem set_bit sha1 sha256 sign signbit sin sinh skewness split split_part
sqrt starts_with stddev stddev_pop stddev_samp str_split str_split_regex strftime string_agg string_split
string_split_regex string_to_array strip_accents strlen strpos strptime struct_concat struct_contains struct_extract
struct_extract_at struct_has struct_indexof struct_insert struct_keys struct_pack struct_position struct_update
struct_values substr substring substring_grapheme subtract suffix sum sum_no_overflow sumkahan switch tan tanh
time_bucket timezone timezone_hour timezone_minute to_base to_base64 to_binary to_centuries to_days to_decades
to_hex to_hours to_json to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds
to_timestamp to_weeks to_years today translate trim trunc try try_strptime typeof ucase unbin unhex unicode
union_extract union_tag union_value unnest unpivot_list upper url_decode url_encode uuid uuid_extract_timestamp
uuid_extract_version uuidv4 uuidv7 var_pop var_samp variance variant_extract variant_typeof wavg week weekday
weekofyear weighted_avg xor year yearweek
"""

_POSTGRES = """
abs acos acosd acosh age any_value array_agg array_append array_cat array_dims array_fill array_length array_lower
array_ndims array_position array_positions array_prepend array_remove array_replace array_to_json array_to_string
array_upper ascii asin asind asinh atan atan2 atan2d atand atanh avg bit_and bit_count bit_length bit_or bit_xor
bool_and bool_or btrim cardinality cbrt ceil ceiling char_length character_length chr clock_timestamp coalesce
concat concat_ws corr cos cosd cosh cot cotd count covar_pop covar_samp cume_dist date date_bin date_part date_trunc
decode degrees dense_rank div encode erf erfc every exp extract factorial first_value floor format gcd
gen_random_uuid generate_series get_bit get_byte greatest grouping initcap isfinite json_agg json_array_length
json_build_array json_build_object json_extract_path json_extract_path_text json_object json_object_agg
json_strip_nulls json_typeof jsonb_agg jsonb_array_length jsonb_build_array jsonb_build_object jsonb_extract_path
jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg jsonb_path_exists jsonb_path_match
jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_typeof justify_days
justify_hours justify_interval lag last_value lcm lead least left length ln log log10 lower lpad ltrim make_date
make_interval make_time make_timestamp make_timestamptz max md5 min min_scale mod mode normalize now nth_value ntile
nullif numnode octet_length overlay percent_rank percentile_cont percentile_disc pi position pow power quote_ident
quote_literal quote_nullable radians random rank regexp_count regexp_instr regexp_like regexp_match regexp_replace
regexp_split_to_array regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
regr_sxy regr_syy repeat replace reverse right round row_number rpad rtrim scale sha224 sha256 sha384 sha512 sign
sin sind sinh split_part sqrt starts_with statement_timestamp stddev stddev_pop stddev_samp string_agg
string_to_array strpos substr substring sum tan tand tanh timezone to_ascii to_char to_date to_hex to_json to_jsonb
to_number to_timestamp transaction_timestamp translate trim trim_array trim_scale trunc unistr unnest upper var_pop
var_samp variance width_bucket
"""

_SQLITE = """
abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char char_length coalesce concat concat_ws cos cosh
count cume_dist date datetime degrees dense_rank exp first_value floor format glob group_concat hex if ifnull iif
instr json json_array json_array_length json_extract json_group_array json_group_object json_object json_patch
json_quote json_type json_valid julianday lag last_value lead length like likelihood likely ln log log10 log2 lower
ltrim max min mod nth_value ntile nullif octet_length percent_rank pi pow power printf quote radians random rank
replace round row_number rtrim sign sin sinh soundex sqrt strftime string_agg substr substring sum tan tanh time
timediff total trim trunc typeof unhex unicode unixepoch unlikely upper
"""

_SPARK = """
abs acos acosh add_months aggregate any any_value approx_count_distinct approx_percentile array array_agg
array_append array_compact array_contains array_distinct array_except array_insert array_intersect array_join
array_max array_min array_position array_prepend array_remove array_repeat array_size array_sort array_union
arrays_overlap arrays_zip ascii asin asinh atan atan2 atanh avg base64 bin bit_and bit_count bit_length bit_or
bit_xor bool_and bool_or bround btrim cardinality cbrt ceil ceiling char char_length character_length chr coalesce
collect_list collect_set concat concat_ws contains conv corr cos cosh cot count count_if covar_pop covar_samp crc32
csc cume_dist curdate current_date current_timestamp date date_add date_diff date_format date_from_unix_date
date_part date_sub date_trunc dateadd datediff datepart day dayname dayofmonth dayofweek dayofyear decode degrees
dense_rank e element_at elt encode endswith every exists exp explode explode_outer expm1 extract factorial filter
find_in_set first first_value flatten floor forall format_number format_string from_json from_unixtime
from_utc_timestamp get get_json_object getbit greatest grouping grouping_id hash hex hour hypot if ifnull ilike
initcap inline inline_outer instr isnan isnotnull isnull json_array_length json_object_keys kurtosis lag last
last_day last_value lcase lead least left len length levenshtein like listagg ln localtimestamp locate log log10
log1p log2 lower lpad ltrim luhn_check make_date make_dt_interval make_interval make_timestamp make_ym_interval map
map_concat map_contains_key map_entries map_filter map_from_arrays map_from_entries map_keys map_values
map_zip_with mask max max_by md5 mean median min min_by minute mod mode month monthname
months_between named_struct nanvl negative next_day now nth_value ntile nullif nullifzero nvl nvl2 octet_length
overlay parse_url percent_rank percentile percentile_approx percentile_cont percentile_disc pi pmod posexplode
posexplode_outer position positive pow power printf quarter radians rand randn random rank reduce regexp_count
regexp_extract regexp_extract_all regexp_instr regexp_like regexp_replace regexp_substr regr_avgx regr_avgy
regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat replace reverse right rint rlike
round row_number rpad rtrim schema_of_json sec second sequence sha sha1 sha2 shiftleft shiftright
shiftrightunsigned shuffle sign signum sin sinh size skewness slice some sort_array soundex space split split_part
sqrt startswith std stddev stddev_pop stddev_samp str_to_map string string_agg struct substr substring
substring_index sum tan tanh timestamp timestamp_micros timestamp_millis timestamp_seconds timestampadd
timestampdiff to_binary to_char to_date to_json to_number to_timestamp to_timestamp_ltz to_timestamp_ntz
to_unix_timestamp to_utc_timestamp transform transform_keys transform_values translate trim trunc try_add try_avg
try_divide try_element_at try_multiply try_subtract try_sum try_to_binary try_to_number try_to_timestamp typeof
ucase unbase64 unhex unix_date unix_micros unix_millis unix_seconds unix_timestamp upper url_decode url_encode uuid
var_pop var_samp variance weekday weekofyear width_bucket xxhash64 year zeroifnull zip_with
"""

ALLOWED: Mapping[str, frozenset[str]] = {
    "duckdb": frozenset(_DUCKDB.split()),
    "postgres": frozenset(_POSTGRES.split()),
    "sqlite": frozenset(_SQLITE.split()),
    "spark": frozenset(_SPARK.split()),
}

# Functions that may stand in FROM; `unnest` has a node of its own.
TABLE_FUNCTIONS: Mapping[str, frozenset[str]] = {
    "duckdb": frozenset({"range", "generate_series", "unnest"}),
    "postgres": frozenset({"generate_series", "unnest"}),
    "sqlite": frozenset(),
    "spark": frozenset(
        {*("range", "explode", "explode_outer", "posexplode", "posexplode_outer", "inline", "inline_outer")}
    ),
}
# What such a function calls its columns in Spark; "" where only Spark knows.
SPARK_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "range": ("id",),
    "explode": ("col", "key", "value"),
    "explode_outer": ("col", "key", "value"),
    "posexplode": ("pos", "col", "key", "value"),
    "posexplode_outer": ("pos", "col", "key", "value"),
}

# Functions that make much out of little: which of their arguments say how much, and the most they may say.
MULTIPLIERS: Mapping[str, tuple[int, ...]] = {
    "repeat": (1,),
    "lpad": (1,),
    "rpad": (1,),
    "list_resize": (1,),
    "array_resize": (1,),
    "bar": (3,),
    "bitstring": (1,),
    "array_fill": (1,),
    "array_repeat": (1,),
    "space": (0,),
}
SERIES = frozenset({"range", "generate_series", "sequence"})
MAX_MULTIPLIER = 10_000
MAX_SERIES = 1_000_000
