#include "tests/support.h"

#include <math.h>

#include "compare/statistics.h"

static void near(double got, double wanted) {
    if (fabs(got - wanted) > 1e-9 * (1 + fabs(wanted)))
        fail_msg("%.17g is not %.17g", got, wanted);
}

static void the_median_is_the_middle_or_the_mean_of_the_middle_two(void **state) {
    (void)state;
    struct estimate estimate;
    assert_int_equal(median_estimate((const double[]){5, 1, 4}, 3, &estimate), ERR_OK);
    near(estimate.value, 4);
    assert_int_equal(median_estimate((const double[]){7, 1, 4, 2}, 4, &estimate), ERR_OK);
    near(estimate.value, 3);
}

/* Coverages are sums of binomial coefficients over 2^n, by hand. */
static void interval_ranks_and_coverages_are_the_exact_binomial_ones(void **state) {
    (void)state;
    static const struct {
        size_t count, rank;
        double coverage;
    } known[] = {
        {1, 1, 0.0},
        {2, 1, 1 - 2.0 / 4},
        {5, 1, 1 - 2.0 / 32},                    /* 93.75 %: the best five can do */
        {6, 1, 1 - 2.0 / 64},                    /* 96.875 % */
        {8, 1, 1 - 2.0 / 256},                   /* rank 2 would cover 1 - 2·9/256 = 92.97 % */
        {9, 2, 1 - 2.0 * (1 + 9) / 512},         /* 96.09 % */
        {12, 3, 1 - 2.0 * (1 + 12 + 66) / 4096}, /* 96.14 % */
        {20, 6, 1 - 2.0 * (1 + 20 + 190 + 1140 + 4845 + 15504) / 1048576}, /* 95.86 % */
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        double coverage;
        assert_int_equal(median_interval_rank(known[i].count, &coverage), known[i].rank);
        near(coverage, known[i].coverage);
    }
}

/* From tables of the sign test: n = 100 gives x(40) … x(61), 96.48 %. */
static void large_counts_do_not_underflow(void **state) {
    (void)state;
    double coverage;
    assert_int_equal(median_interval_rank(100, &coverage), 40);
    assert_true(fabs(coverage - 0.9648) < 5e-5);
    size_t rank = median_interval_rank(10000, &coverage);
    assert_true(coverage >= 0.95 && coverage < 0.96);
    assert_true(rank > 4900 && rank < 4905); /* n/2 − 0.98·√n */
}

static void nine_samples_quote_the_second_and_the_eighth(void **state) {
    (void)state;
    struct estimate estimate;
    assert_int_equal(median_estimate((const double[]){9, 8, 7, 6, 5, 4, 3, 2, 1}, 9, &estimate), ERR_OK);
    near(estimate.value, 5);
    near(estimate.low, 2);
    near(estimate.high, 8);
    near(estimate.coverage, 0.9609375);
    assert_int_equal(estimate.outlier_count, 0);
}

static void one_sample_has_no_interval(void **state) {
    (void)state;
    struct estimate estimate;
    assert_int_equal(median_estimate((const double[]){3}, 1, &estimate), ERR_OK);
    assert_false(estimate.has_interval);
    near(estimate.value, 3);
}

static void outliers_are_counted_and_kept(void **state) {
    (void)state;
    /* quartiles 2.75 and 6.25 of 1 … 7, 100: fences at −2.5 and 11.5 */
    struct estimate estimate;
    assert_int_equal(median_estimate((const double[]){1, 2, 3, 4, 5, 6, 7, 100}, 8, &estimate), ERR_OK);
    assert_int_equal(estimate.outlier_count, 1);
    near(estimate.value, 4.5);
    near(estimate.high, 100);
}

static void quantiles_are_linear_between_order_statistics(void **state) {
    (void)state;
    static const double sorted[] = {10, 20, 30, 40};
    near(sorted_quantile(sorted, 4, 0), 10);
    near(sorted_quantile(sorted, 4, 0.25), 17.5);
    near(sorted_quantile(sorted, 4, 0.5), 25);
    near(sorted_quantile(sorted, 4, 1), 40);
}

static void ratios_are_paired_within_a_round(void **state) {
    (void)state;
    /* Both drift together; every pair is exactly 2. */
    static const double a[] = {2, 20, 6, 8, 200, 12, 14, 16, 18};
    static const double b[] = {1, 10, 3, 4, 100, 6, 7, 8, 9};
    struct estimate estimate;
    assert_int_equal(ratio_estimate(a, b, 9, 1, &estimate), ERR_OK);
    near(estimate.value, 2);
    near(estimate.low, 2);
    near(estimate.high, 2);
}

static void missing_rounds_drop_out_of_ratios(void **state) {
    (void)state;
    static const double a[] = {4, NAN, 6, 1};
    static const double b[] = {2, 5, 2, NAN};
    struct estimate estimate;
    assert_int_equal(ratio_estimate(a, b, 4, 1, &estimate), ERR_OK);
    assert_int_equal(estimate.sample_count, 2);
    near(estimate.value, 2.5);
    static const double none[] = {NAN};
    assert_int_equal(ratio_estimate(none, none, 1, 1, &estimate), ERR_USAGE);
}

static void the_bootstrap_repeats_with_its_seed_and_holds_the_median(void **state) {
    (void)state;
    uint64_t seed = support_seed(11);
    double a[25], b[25];
    for (size_t i = 0; i < 25; i++) {
        b[i] = 10 + (double)random_below(&seed, 1000) / 1000;
        a[i] = 15 + (double)random_below(&seed, 1000) / 1000;
    }
    struct estimate first, second;
    assert_int_equal(ratio_estimate(a, b, 25, 99, &first), ERR_OK);
    assert_int_equal(ratio_estimate(a, b, 25, 99, &second), ERR_OK);
    assert_true(first.low == second.low && first.high == second.high);
    assert_true(first.low <= first.value && first.value <= first.high);
    assert_true(first.low > 1.3 && first.high < 1.65);
}

static void no_samples_is_a_usage_error(void **state) {
    (void)state;
    struct estimate estimate;
    double sample = 1;
    assert_int_equal(median_estimate(&sample, 0, &estimate), ERR_USAGE);
    assert_int_equal(ratio_estimate(&sample, &sample, 0, 1, &estimate), ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_median_is_the_middle_or_the_mean_of_the_middle_two),
        cmocka_unit_test(interval_ranks_and_coverages_are_the_exact_binomial_ones),
        cmocka_unit_test(large_counts_do_not_underflow),
        cmocka_unit_test(nine_samples_quote_the_second_and_the_eighth),
        cmocka_unit_test(one_sample_has_no_interval),
        cmocka_unit_test(outliers_are_counted_and_kept),
        cmocka_unit_test(quantiles_are_linear_between_order_statistics),
        cmocka_unit_test(ratios_are_paired_within_a_round),
        cmocka_unit_test(missing_rounds_drop_out_of_ratios),
        cmocka_unit_test(the_bootstrap_repeats_with_its_seed_and_holds_the_median),
        cmocka_unit_test(no_samples_is_a_usage_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
