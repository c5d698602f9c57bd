"""Bad inputs and faults, row by row: what each does is held by a test, and docs/reliability.md is made from this table.

``python tests/test_reliability.py`` writes the page. Rows are (what comes in, what happens, the tests that hold it); a test that is
named here and does not exist fails. Rows that no other file holds are tested below.
"""

import ast
import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest

from backproof import Model, Network
from backproof.cli import main
from backproof.data.messages import DataWarning
from backproof.data.tables import read_table
from backproof.errors import BackproofError, DataError, ModelFileError, OptionError, ShapeError, SpecError
from backproof.jobs import Settings, train_table
from backproof.predictions import predict_table
from backproof.train import files
from backproof.train.checkpoints import Checkpoints

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reliability.md"
ARRAYS, TABLES, PREPARE, FILES, CHECKPOINTS = ("data/test_arrays.py", "data/test_tables.py", "data/test_preprocess.py",
                                               "train/test_files.py",
                                               "train/test_checkpoints.py")
MLP, HISTORY, MODEL, JOBS, RUNS, CLI = ("estimators/test_mlp.py", "estimators/test_history.py", "test_model.py", "test_jobs.py",
                                        "test_runs.py",
                                        "test_cli.py")
PROCESS, THREADS = "engines/test_native_process.py", "engines/test_threads.py"
HERE, STORED, SEQUENCE = "test_reliability.py", "data/test_stored.py", "estimators/test_sequence.py"

ROWS = {
    "B1": ("X and y of different lengths", "error with both lengths", f"{MODEL}::test_bad_data_is_named_with_the_mend"),
    "B2": ("another width at predict", "error with both widths and the further names",
           f"{ARRAYS}::test_refused_with_the_place_and_the_mend"),
    "B3": ("columns of a frame reordered or renamed",
           "matched by name; another name is an error; scikit-learn's estimators refuse both",
           f"{ARRAYS}::test_columns_of_a_table_are_matched_by_name estimators/test_frames.py::test_an_estimator_refuses_columns_in_another_order_as_scikit_learn_asks"),
    "B4": ("y of shape (n, 1)", "taken as (n,)", f"{HERE}::test_b4_a_column_of_targets_is_taken_as_a_row"),
    "B5": ("several outputs", "the gradient is that of the reported loss",
           f"{HISTORY}::test_8349_the_gradient_of_several_outputs_is_that_of_the_loss"),
    "B6": ("hidden sizes 0, negative, True, 3.0, huge", "error with the layer and the value",
           f"{MLP}::test_parameters_outside_their_interval "
           "test_network.py::test_a_layer_too_large_for_any_machine_says_how_much_it_needs"),
    "B7": ("weights that do not fit a layer", "error with both shapes, before anything runs",
           f"{HERE}::test_b7_weights_that_do_not_fit_are_named"),
    "B8": ("a batch larger than the data; 0", "said once; error", f"{MLP}::test_a_batch_larger_than_the_data_is_said_once"),
    "B9": ("one row; a last batch of one", "works, weighted by samples", f"{MLP}::test_one_row_and_a_last_batch_of_one_work"),
    "B10": ("a validation part that loses a class", "error before training", f"{PREPARE}::test_splits_refused"),
    "B11": ("sample weights of wrong length, negative, NaN, all zero", "error; a zero weight is an absent row",
            f"{MLP}::test_weights_that_cannot_be_used {MLP}::test_a_zero_weight_is_an_absent_row"),
    "C1": ("object arrays", "converted if all are real numbers, else the first offender",
           f"{ARRAYS}::test_refused_with_the_place_and_the_mend"),
    "C2": ("complex", "error: the imaginary part would be lost", f"{ARRAYS}::test_refused_with_the_place_and_the_mend"),
    "C3": ("booleans, integers; integers above 2^53", "converted; a warning with the place",
           f"{HERE}::test_c3_integers_are_converted_and_ids_are_warned_of"),
    "C4": ("float16, longdouble", "converted; what overflows is named", f"{ARRAYS}::test_refused_with_the_place_and_the_mend"),
    "C5": ("values beyond float32", "error with column and value", f"{MODEL}::test_values_too_large_for_float32_are_named"),
    "C6": ("dates, text, categories as arrays", "error with the column and an encoder",
           f"{ARRAYS}::test_refused_with_the_place_and_the_mend"),
    "C7": ("float32 probabilities of one", "the loss is taken from the pre-activation",
           f"{HISTORY}::test_24315_float32_probabilities_of_one_do_not_make_nan"),
    "C8": ("float32 weights and float64 data", "one dtype per model, in its print and its file",
           f"{HERE}::test_c8_one_dtype_per_model"),
    "D1": ("one class only", "error", f"{PREPARE}::test_targets_refused"),
    "D2": ("text labels with early stopping", "works", f"{HISTORY}::test_33760_33774_text_labels_with_early_stopping"),
    "D3": ("missing labels", "error with count and first row", f"{PREPARE}::test_targets_refused"),
    "D4": ("0.5 to a classifier", "error: continuous", f"{PREPARE}::test_targets_refused"),
    "D5": ("classes 1, 2, 5, negative, very large", "mapped, sorted, typed",
           f"{PREPARE}::test_classes_are_sorted_and_keep_their_type"),
    "D6": ("a first batch without a class", "error without classes=",
           f"{HISTORY}::test_6994_a_first_batch_without_a_class_is_fine_when_the_classes_are_named"),
    "D7": ("a class that training did not have", "error that names it", f"{PREPARE}::test_an_unseen_class_is_named"),
    "D8": ("warm start with other classes", "error with both sets", f"{HISTORY}::test_7976_8035_warm_start_refuses_other_classes"),
    "D10": ("classes that look alike", "kept apart, with a warning",
            f"{PREPARE}::test_classes_that_look_alike_are_kept_apart_with_a_warning"),
    "D11": ("one class per row", "error: an id", f"{PREPARE}::test_targets_refused"),
    "E1": ("NaN in X", "error with count, row and column, from models and estimators",
           f"{ARRAYS}::test_refused_with_the_place_and_the_mend " f"{MLP}::test_holes_in_the_data_are_named_with_their_place"),
    "E2": ("infinity", "error with the value", f"{ARRAYS}::test_refused_with_the_place_and_the_mend " f"{MLP}::test_holes_in_the_data_are_named_with_their_place"),
    "E3": ("values whose forward pass overflows", "the tensor and layer are named, the weights unchanged",
           f"{HERE}::test_e3_an_overflow_is_caught_in_its_step"),
    "E4": ("a constant column", "scale 1, with a note", f"{PREPARE}::test_the_features_are_what_the_names_say"),
    "E5": ("saturated sigmoids", "loss and error signal exact", f"{MODEL}::test_loss_and_error_signal_are_exact_at_saturation"),
    "E6": ("huge logits", "exact; infinities are not hidden",
           "engines/test_reference.py::test_logsumexp_neither_overflows_nor_hides_infinities"),
    "E7": ("target probabilities that do not sum to 1", "error with the sum", f"{MODEL}::test_bad_data_is_named_with_the_mend"),
    "E8": ("an exponential output that overflows", "named", f"{MODEL}::test_an_exponential_output_that_overflows_is_named"),
    "E9": ("an exploding gradient", "the step is not applied, and is named with the losses before",
           f"{MODEL}::test_a_step_that_is_not_finite_is_named_and_not_applied"),
    "E10": ("vanishing errors, dead units", "diagnosed with layer and share", "show/test_health.py::test_dead_units_are_found"),
    "E11": ("a loss that leaps but is finite", "in the history", f"{HERE}::test_e11_a_leap_of_the_loss_is_in_the_history"),
    "E12": ("subnormal numbers", "kept, also in the threads",
            "engines/test_native.py::test_subnormals_live_on_after_import_and_training"),
    "E13": ("epsilon = 0 in Adam", "error", f"{MODEL}::test_optimizer_options_are_checked"),
    "E14": ("−0.0", "is 0.0 in every answer", f"{HERE}::test_e14_negative_zeros_change_nothing"),
    "E15": ("learning rate 0, NaN; momentum 1", "error with the interval",
            f"{MODEL}::test_options_outside_their_interval_are_refused_before_anything_is_computed"),
    "E16": ("a validation score that is NaN", "not better, never a crash",
            f"{HISTORY}::test_22150_17925_29504_29773_divergence_stops_at_its_step_also_with_early_stopping"),
    "E17": ("targets of 1e12 in float32", "a warning with a scale", f"{ARRAYS}::test_large_targets_warn_in_float32_only"),
    "E18": ("many tiny losses in float32", "their mean is right to 1e-6",
            f"{HERE}::test_e18_the_mean_of_many_tiny_losses_is_right"),
    "F1": ("missing file, directory, pipe, URL", "error with the path as given and resolved",
           f"{TABLES}::test_paths_that_are_no_files"),
    "F2": ("an empty file; a header alone", "error", f"{TABLES}::test_refused_with_line_and_cell"),
    "F3": ("a byte order mark", "read right", f"{TABLES}::test_line_ends_marks_blank_lines_and_trailing_commas_read_right"),
    "F4": ("UTF-16, Latin-1, a wrong byte", "error with byte, line and column", f"{TABLES}::test_refused_with_line_and_cell"),
    "F5": ("a ragged row", "error with the line", f"{TABLES}::test_refused_with_line_and_cell"),
    "F6": ("a quote that is never closed", "error with the line where it opened", f"{TABLES}::test_refused_with_line_and_cell"),
    "F7": ("CRLF, CR, blank lines, a trailing comma", "read right",
           f"{TABLES}::test_line_ends_marks_blank_lines_and_trailing_commas_read_right"),
    "F8": ("doubled or empty header names", "error that lists them", f"{TABLES}::test_refused_with_line_and_cell"),
    "F9": ("another delimiter, decimal commas", "suggested, never guessed",
           f"{TABLES}::test_refused_with_line_and_cell {CLI}::test_errors_say_it_in_the_words_of_the_file_and_of_the_command"),
    "F10": ("NA as a country or class", "markers are declared and counted; a label keeps its text",
            f"{TABLES}::test_missing_markers_are_counted_and_a_label_keeps_its_text "
            f"{CLI}::test_missing_markers_are_declared_on_the_command_line"),
    "F11": ("007, 20-digit ids", "text", f"{TABLES}::test_codes_stay_text_and_numbers_keep_their_type"),
    "F12": ("a word after a million numbers", "error with the line, for parts of any size",
            f"{STORED}::test_a_stray_word_far_down_is_named_by_a_survey_too"),
    "F13": ("1_000, 0x10, inf, other digits", "error", f"{TABLES}::test_refused_with_line_and_cell"),
    "F14": ("NUL, gzip named .csv", "error that says what it is", f"{TABLES}::test_refused_with_line_and_cell"),
    "F15": ("100,001 columns, a field over 1 MB, more rows than memory", "error with the limit; streamed",
            f"{TABLES}::test_refused_with_line_and_cell {STORED}::test_training_and_predicting_a_larger_file_takes_little_more_memory"),
    "F16": ("a gzip bomb", "error at 100 : 1, also when streamed",
            f"{TABLES}::test_refused_with_line_and_cell {HERE}::test_f16_a_bomb_is_refused_when_streamed"),
    "F17": ("a file that changes while it is read", "error with the row; nothing is trained",
            f"{STORED}::test_a_file_that_changes_between_two_parts_stops_the_run"),
    "F18": ("broken Parquet, nested types", "error with column and row group", f"{TABLES}::test_broken_parquet_is_refused"),
    "F19": ("columns in another order, missing, further ones", "by name; error; ignored with a notice",
            f"{JOBS}::test_columns_are_found_by_name_in_any_order"),
    "F20": ("labels that a spreadsheet would run", "marked with --for-spreadsheet",
            f"{HERE}::test_f20_labels_that_are_formulas_are_marked_on_demand"),
    "F21": ("an output that exists, is the input, is a link", "refused", f"{JOBS}::test_the_input_is_never_overwritten"),
    "F22": ("stdout closed", "exit code 141, silent", f"{CLI}::test_a_closed_stdout_is_quiet"),
    "G1": ("an unknown key in a run file", "error with line and nearest key",
           f"{RUNS}::test_mistakes_in_a_run_file_are_named_with_their_line"),
    "G2": ("a wrong type", "error with line, value and what is wanted",
           f"{RUNS}::test_mistakes_in_a_run_file_are_named_with_their_line"),
    "G3": ("a key twice", "error", f"{RUNS}::test_mistakes_in_a_run_file_are_named_with_their_line"),
    "G5": ("NaN, 1e999, endless nesting and digits in a run's memory", "error, no traceback",
           f"{HERE}::test_g5_a_memory_of_a_run_that_cannot_be_read"),
    "G6": ("options that exclude each other", "error with both", f"{RUNS}::test_options_on_the_command_line_win_over_the_run_file"),
    "G7": ("seeds −1, 1.5, 2^64", "error with the interval", f"{MODEL}::test_build_refuses_what_it_does_not_know"),
    "G8": ("an expression as text", "read by a grammar, never run",
           f"{JOBS}::test_expressions_that_cannot_be_differentiated_there_say_why"),
    "H1": ("pickles, HDF5, zip, text as a model", "error that says what it is; never opened", f"{FILES}::test_no_model_file"),
    "H2": ("a header of 2^63 bytes", "error before any memory is taken", f"{FILES}::test_no_model_file"),
    "H3": ("no UTF-8, no JSON, doubled keys, NaN, depth", "error", f"{FILES}::test_no_model_file"),
    "H4": ("offsets that overlap, gap, pass the end", "error", f"{FILES}::test_no_model_file"),
    "H5": ("shapes that overflow", "error", f"{FILES}::test_no_model_file"),
    "H6": ("unknown dtype, format, field", "error",
           f"{FILES}::test_no_model_file {MODEL}::test_files_of_others_are_refused_with_the_reason"),
    "H7": ("a network that does not hold together", "error at load", f"{HERE}::test_h7_a_description_that_does_not_hold_together"),
    "H8": ("weights that are not finite", "error with the count", f"{FILES}::test_non_finite_weights_are_refused_unless_wanted"),
    "H9": ("one flipped bit", "error with the tensor", f"{FILES}::test_every_flipped_bit_is_refused_or_changes_nothing"),
    "H10": ("names with ../, NUL, escapes, 1 MB", "refused, or inert text", f"{FILES}::test_hostile_names_are_inert_text"),
    "H11": ("links, pipes, /dev/zero", "regular files only", f"{FILES}::test_only_regular_files_are_read"),
    "H12": ("a file swapped after it was opened", "what was read is what is checked", f"{HERE}::test_h12_a_file_is_read_once"),
    "H13": ("names of classes and URLs", "inert text", f"{FILES}::test_no_model_file"),
    "H14": ("a small file that claims 1e12 parameters", "error with both sizes", f"{FILES}::test_no_model_file"),
    "H15": ("a pickle of wrong shapes", "error before the engine sees it", f"{MLP}::test_a_pickle_with_wrong_shapes_is_refused"),
    "H16": ("a file of a newer version", "error: update", f"{HERE}::test_h16_a_newer_format_is_refused"),
    "I1": ("killed at any moment of a save", "the one before loads; nothing is left over",
           f"{CHECKPOINTS}::test_kill_9_at_every_step_of_a_save"),
    "I2": ("power lost", "write, flush, rename, flush, in this order", f"{FILES}::test_the_order_is_write_flush_rename_flush"),
    "I3": ("disk full, read-only, failing", "error with bytes needed and free; the old file stays",
           f"{CHECKPOINTS}::test_faults_of_the_disk_are_errors_with_the_old_file_kept "
           f"{CHECKPOINTS}::test_a_limit_on_the_file_size_is_loud_and_keeps_the_old_one"),
    "I4": ("a rename across devices", "the temporary file lies beside its place",
           f"{HERE}::test_i4_the_temporary_file_lies_beside_its_place"),
    "I5": ("the newest checkpoint is corrupt", "the one before, loudly; the bad one is kept",
           f"{CHECKPOINTS}::test_a_corrupt_newest_falls_back_loudly"),
    "I6": ("two runs in one folder", "the second is refused, with the owner",
           f"{CHECKPOINTS}::test_two_runs_cannot_own_one_folder"),
    "I7": ("resume with other data, options, seed", "error with the differences", f"{CHECKPOINTS}::test_another_run_is_told_apart"),
    "I8": ("resume with other threads", "the same bits", f"{CHECKPOINTS}::test_a_run_may_go_on_with_any_number_of_threads"),
    "I9": ("a checkpoint at every step", "the only good one is never deleted",
           f"{HERE}::test_i9_the_only_checkpoint_is_never_deleted"),
    "I10": ("clocks that jump", "the order is by step", f"{CHECKPOINTS}::test_the_order_is_by_step_not_by_clock"),
    "I11": ("the folder vanishes", "error; the weights stay",
            f"{CHECKPOINTS}::test_a_folder_that_vanishes_is_an_error_and_the_weights_stay"),
    "I12": ("SIGTERM", "a checkpoint, how to go on, exit code 143", f"{RUNS}::test_a_run_that_was_killed_goes_on_to_the_same_bits"),
    "J1": ("a fork after training, training again in the child", "a team of its own, the same bits",
           f"{PROCESS}::test_a_child_process_trains_with_the_same_bits"),
    "J2": ("a fork while another thread trains", "the child refuses that model, others train, nothing hangs",
           f"{PROCESS}::test_a_model_that_another_thread_trains_is_refused_in_the_child_and_in_the_parent"),
    "J3": ("threads of 0, −1, 10^6; quotas, affinity", "error; held to what there is",
           f"{THREADS}::test_what_is_no_number_of_threads_is_refused_with_the_mend "
           f"{THREADS}::test_a_number_of_threads_is_held_to_what_a_team_can_be "
           f"{THREADS}::test_affinity_and_quota_bound_what_is_available"),
    "J4": ("fits inside joblib's threads, inside callbacks", "processors are shared, also in the middle of an epoch; nothing hangs",
           f"{THREADS}::test_a_search_by_threads_never_has_more_members_at_work_than_processors "
           f"{THREADS}::test_a_fit_gives_threads_away_in_the_middle_of_an_epoch_when_another_begins "
           f"{PROCESS}::test_a_fit_within_a_callback_of_another_model_goes_through"),
    "J5": ("two fits of one model at once", "the second is refused",
           f"{PROCESS}::test_a_model_that_another_thread_trains_is_refused_in_the_child_and_in_the_parent"),
    "J6": ("a prediction while a fit runs", "that of the parameters before the fit",
           f"{PROCESS}::test_a_model_that_another_thread_trains_is_refused_in_the_child_and_in_the_parent"),
    "J7": ("Ctrl-C in the core, in a callback, while a file is saved", "within 200 ms, after a complete step; no torn file",
           f"{PROCESS}::test_ctrl_c_leaves_exactly_the_steps_that_it_counts "
           f"{CHECKPOINTS}::test_ctrl_c_anywhere_leaves_a_complete_step {FILES}::test_an_interrupt_leaves_no_temporary_file"),
    "J8": ("Ctrl-C while the fit runs in another thread", "the main thread's; `model.cancel()` ends the fit after a complete step",
           "train/test_cancel.py::test_signals_are_the_main_threads_and_the_fit_beside_goes_on "
           "train/test_cancel.py::test_a_fit_in_another_thread_ends_with_the_steps_that_it_counts"),
    "J9": ("a callback raises, exits, writes into the weights", "it passes, the epochs before stay; weights are read-only",
           f"{PROCESS}::test_what_a_callback_raises_passes_and_leaves_the_epochs_before "
           "engines/test_answers.py::test_parameters_cannot_be_written_into_behind_the_engines_back"),
    "J10": ("threads that the system does not give", "done without",
            f"{PROCESS}::test_threads_that_the_system_does_not_give_are_done_without"),
    "J11": ("the interpreter ends while a team stands or trains", "it ends",
            f"{PROCESS}::test_the_interpreter_ends_while_the_team_stands_and_while_a_thread_trains"),
    "J12": ("a crash of C code in a callback", "faulthandler shows the fit, the checkpoints load",
            f"{HERE}::test_j12_a_crash_in_a_callback_is_shown_and_the_checkpoints_load"),
    "K1": ("sequences of unequal length: lists, padded arrays, Sequences", "taken; the same bits in every form",
           f"{SEQUENCE}::test_lists_padded_arrays_and_sequences_give_the_same_bits test_time.py::test_predictions_come_back_in_their_lengths"),
    "K2": ("a sequence of no steps", "error with its number", f"{SEQUENCE}::test_errors_say_what_where_and_the_mend "
           "test_time.py::test_bad_sequences_are_named"),
    "K3": ("NaN, infinities, anything in the padding", "never read: no bit changes, truncated or not",
           "test_time.py::test_padding_changes_no_bit_whatever_stands_in_it test_time.py::test_padding_changes_no_bit_of_a_truncated_gradient "
           "train/test_buckets.py::test_a_cut_minibatch_has_the_bits_of_a_padded_one"),
    "K4": ("segments as long as the sequence, of one step, that do not divide it", "full gradients bit for bit; the others as derived",
           "test_time.py::test_a_segment_of_all_steps_is_the_full_gradient_bit_for_bit "
           "train/test_segments.py::test_cut_segments_give_the_truncated_gradient_in_one_pass"),
    "K5": ("a million steps", "memory of a segment", "train/test_segments.py::test_truncated_memory_does_not_grow_with_the_sequence "
           "train/test_segments.py::test_a_million_steps_are_trained_in_the_memory_of_a_segment"),
    "K6": ("a carried state and another minibatch or order", "the state belongs to its sequence, and begins anew with it",
           "train/test_truncation.py::test_the_state_begins_anew_with_every_sequence"),
    "K7": ("a minibatch without a valid step", "cannot come about: every sequence has one; those of weight 0 are left out",
           f"{SEQUENCE}::test_sequences_of_weight_0_are_left_out {SEQUENCE}::test_errors_say_what_where_and_the_mend"),
    "K8": ("targets per step, more or fewer than steps", "error with the sequence and both numbers",
           f"{SEQUENCE}::test_errors_say_what_where_and_the_mend test_time.py::test_bad_sequences_are_named"),
    "K9": ("both directions on unequal lengths", "the last state is that of the true last step",
           "test_time.py::test_a_batch_of_unequal_lengths_is_the_mean_of_its_sequences"),
    "K10": ("a recurrence that explodes", "named in the step, and in the report of its horizon",
            "test_time.py::test_an_exploding_network_is_named_and_its_horizon_too"),
}
NOT_HERE = {"D9": "workers: there are none yet", "G4": "YAML is not read; run files are TOML", "G9": "see docs/extend.md",
            "G10": "see docs/extend.md", "G11": "see docs/extend.md"}
TITLES = {"B": "Shapes", "C": "Dtypes", "D": "Labels", "E": "Not finite, extreme", "F": "CSV and Parquet files",
          "G": "Run files and options",
          "H": "Model files", "I": "Checkpoints", "J": "Threads, forks, signals", "K": "Sequences"}


def page():
    """docs/reliability.md."""
    lines = ["# Bad inputs and faults", "",
             "What each does, and the test that holds it. Errors say what, where, with which values, and the "
             "mend; the command line shows no traceback without `--debug`. The page is made by `python tests/test_reliability.py`."]
    for letter, title in TITLES.items():
        lines += ["", f"## {letter}. {title}", "", "| | comes in | happens | held by |", "| --- | --- | --- | --- |"]
        for row, (given, told, held) in ((row, found) for row, found in ROWS.items() if row.startswith(letter)):
            tests = "<br>".join(f"`{name.rpartition('/')[2]}`" for name in held.split())
            lines.append(f"| {row} | {given} | {told} | {tests} |")
    lines += ["", "Not here: " + "; ".join(f"{row}, {why}" for row, why in NOT_HERE.items()) + "."]
    return "\n".join(lines) + "\n"


def test_every_row_is_held_by_a_test_that_exists():
    counts = zip("BCDEFGHIJK", (11, 8, 11, 18, 22, 11, 16, 12, 12, 10))
    wanted = {f"{letter}{k}" for letter, most in counts for k in range(1, most + 1)}
    assert set(ROWS) | set(NOT_HERE) == wanted
    for row, (_, _, held) in ROWS.items():
        for name in held.split():
            path, _, function = name.partition("::")
            defined = {node.name for node in ast.parse((TESTS / path).read_text("utf-8")).body if isinstance(node, ast.FunctionDef)}
            assert function in defined, f"{row}: {name} does not exist"


def test_the_page_says_what_the_table_says():
    assert PAGE.read_text("utf-8") == page(), "python tests/test_reliability.py"


# -- rows that are held here ---------------------------------------------------------------------------------------

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)
NET = Network("3 | 4 tanh | 2 softmax", loss="cross_entropy")


def test_b4_a_column_of_targets_is_taken_as_a_row():
    a = NET.build(seed=0).fit(X, Y, epochs=2)
    with pytest.warns(DataWarning, match=r"a column of shape \(40, 1\); read as \(40,\)"):
        b = NET.build(seed=0).fit(X, Y[:, None], epochs=2)
    assert a.parameters["W1"].tobytes() == b.parameters["W1"].tobytes()


def test_b7_weights_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r"W1 has shape \(4, 3\), the network's is \(3, 4\)"):
        NET.build().set_parameters(W1=np.zeros((4, 3)))
    with pytest.raises(SpecError):
        Network("3 | 4 tanh | | 2")


def test_c3_integers_are_converted_and_ids_are_warned_of():
    model = NET.build(seed=0)
    whole = np.round(3 * X).astype(np.int64)
    for kind in (np.int8, np.int64, np.float64):
        np.testing.assert_array_equal(model.predict(whole.astype(kind)), model.predict(whole.astype(np.float32)))
    np.testing.assert_array_equal(model.predict(X > 0), model.predict((X > 0).astype(float)))
    whole[7, 2] = 2**53 + 1
    with pytest.warns(DataWarning, match=r"integers above 2\^53.*row 7, column 2"):
        model.predict(whole)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_c8_one_dtype_per_model(tmp_path, dtype):
    model = NET.build(seed=0, dtype=dtype)
    assert f"dtype={dtype}" in repr(model) and model.predict(X).dtype == dtype
    model.save(tmp_path / "m")
    assert Model.load(tmp_path / "m").dtype == dtype


def test_e3_an_overflow_is_caught_in_its_step():
    model = Network("3 | 4 square | 1", loss="squared_error").build(seed=0, dtype="float64")
    before = model.parameters["W1"].copy()
    with pytest.raises(BackproofError, match="is not finite") as caught:
        model.fit(np.full((4, 3), 1e200), np.zeros(4), epochs=1)
    assert "the step was not applied" in caught.value.state and np.array_equal(model.parameters["W1"], before)
    assert (caught.value.epoch, caught.value.step) == (0, 0) and "scale the inputs" in caught.value.fix


def test_e11_a_leap_of_the_loss_is_in_the_history():
    model = Network("3 | 1", loss="squared_error").build(seed=0)
    model.fit(X, X[:, 0], epochs=6, batch_size=40, optimizer="sgd", learning_rate=3.0)
    losses = model.history["loss"]
    assert all(np.isfinite(losses)) and losses[-1] > 1e2 * losses[0]


def test_e14_negative_zeros_change_nothing():
    model = NET.build(seed=0)
    assert model.predict(np.zeros((2, 3))).tobytes() == model.predict(-np.zeros((2, 3))).tobytes()


def test_e18_the_mean_of_many_tiny_losses_is_right():
    small, y = np.full((1_000_000, 1), 1e-4), np.zeros(1_000_000)
    values = [Network("1 | 1", loss="squared_error").build(seed=0, dtype=dtype).set_parameters(W1=[[1.0]]).loss(small, y)
              for dtype in ("float32", "float64")]
    assert values[0] == pytest.approx(values[1], rel=1e-6) and values[1] == pytest.approx(0.5e-8)


def test_f16_a_bomb_is_refused_when_streamed(tmp_path):
    import gzip
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"x,y\n" + b"1,2\n" * 8_000_000))
    for stream in (False, True):
        with pytest.raises(DataError, match="expand more than 100 : 1"):
            train_table(str(tmp_path / "t.csv.gz"), "y", Settings(epochs=1), reading={"compression": "gzip"}, stream=stream)


def test_f20_labels_that_are_formulas_are_marked_on_demand(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{k % 7},{['=cmd()', '@x', 'plain'][k % 3]}\n" for k in range(60)))
    train_table(str(path), "y", Settings(epochs=1), out=str(tmp_path / "run"))
    told = {}
    for marked in (False, True):
        predict_table(str(tmp_path / "run/model.safetensors"), str(path), out=str(tmp_path / "p.csv"), for_spreadsheet=marked,
                      force=True)
        told[marked] = (tmp_path / "p.csv").read_text().split()[1:]
    assert set(told[False]) <= {"=cmd()", "@x", "plain"} and set(told[False]) != {"plain"}
    assert told[True] == ["'" + text if text != "plain" else text for text in told[False]]


@pytest.mark.parametrize("text", ["{", '{"settings": NaN}', "[" * 100_000, '{"data": 1' + "0" * 10_000 + "}",
                                  '{"settings": {"seed": 1e999}}', "[]", "7"])
def test_g5_a_memory_of_a_run_that_cannot_be_read(tmp_path, text, capsys):
    (tmp_path / "run.json").write_text(text)
    assert main(["train", "--resume", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "the memory of the run cannot be read" in told and "--force" in told and "Traceback" not in told


def saved(path, change):
    """A model file with a valid checksum whose description was changed."""
    NET.build(seed=0).save(path)
    tensors, metadata = files.load_tensors(path)
    description = json.loads(metadata["backproof"])
    change(description)
    files.save_tensors(path, tensors, {"backproof": json.dumps(description)})


@pytest.mark.parametrize("change", [
    lambda d: d["network"].update(inputs=0), lambda d: d["network"].update(inputs=5), lambda d: d["network"]["layers"].pop(),
    lambda d: d["network"]["layers"][0].update(kind="os.system"),
    lambda d: d["network"]["layers"].append(d["network"]["layers"][0]),
    lambda d: d["network"].update(code="import os"), lambda d: d["network"].update(loss="__import__('os')"),
    lambda d: d.update(network=[]),
    lambda d: d["network"].update(layers={}), lambda d: d["network"]["layers"][0].update(units=-1),
    lambda d: d["network"]["layers"][0].update(units="4"),
])
def test_h7_a_description_that_does_not_hold_together(tmp_path, change):
    saved(tmp_path / "m", lambda d: None)
    Model.load(tmp_path / "m")                            # the control
    saved(tmp_path / "m", change)
    with pytest.raises(BackproofError):
        Model.load(tmp_path / "m")


def test_h12_a_file_is_read_once(tmp_path, monkeypatch):
    NET.build(seed=0).save(tmp_path / "m")
    opened, real = [], os.open

    def counted(path, *rest, **more):
        if str(path).endswith("/m"):
            opened.append(path)
        return real(path, *rest, **more)
    monkeypatch.setattr(os, "open", counted)
    Model.load(tmp_path / "m")
    assert len(opened) == 1


def test_h16_a_newer_format_is_refused(tmp_path):
    saved(tmp_path / "m", lambda d: d.update(format="backproof-model/2"))
    with pytest.raises(ModelFileError, match="format is 'backproof-model/2'; this version reads 'backproof-model/1'") as caught:
        Model.load(tmp_path / "m")
    assert "update backproof" in caught.value.fix
    saved(tmp_path / "m", lambda d: d.update(further="field"))
    with pytest.raises(ModelFileError):
        Model.load(tmp_path / "m")


def test_i4_the_temporary_file_lies_beside_its_place(tmp_path, monkeypatch):
    renamed, real = [], os.replace
    monkeypatch.setattr(files.os, "replace", lambda a, b: (renamed.append((a, b)), real(a, b)))
    NET.build(seed=0).save(tmp_path / "m")
    [(temporary, final)] = renamed
    assert os.path.dirname(temporary) == os.path.dirname(final) == str(tmp_path)


def test_i9_the_only_checkpoint_is_never_deleted(tmp_path, monkeypatch):
    """A new one is in place before the old one goes; where it cannot be written, the old one stays."""
    seen, real, write = [], os.unlink, Checkpoints.write

    def watched(path, *rest, **more):
        if str(path).endswith(".safetensors"):
            seen.append(len(Checkpoints(tmp_path).steps()))
        return real(path, *rest, **more)
    monkeypatch.setattr(os, "unlink", watched)
    run = {"epochs": 3, "batch_size": 10}
    NET.build(seed=0).fit(X, Y, **run, checkpoints=Checkpoints(tmp_path, every=1, seconds=0, keep=1))
    assert len(seen) > 5 and min(seen) == 2 and len(Checkpoints(tmp_path).steps()) == 1
    count = [0]

    def failing(self, checkpoint):
        count[0] += 1
        if count[0] == 5:
            monkeypatch.setattr(files.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        return write(self, checkpoint)
    monkeypatch.setattr(Checkpoints, "write", failing)
    with pytest.raises(OSError, match="Input/output error"):
        NET.build(seed=0).fit(X, Y, **run, checkpoints=Checkpoints(tmp_path / "b", every=1, seconds=0, keep=1))
    assert Checkpoints(tmp_path / "b").steps() == [3]


# -- exit codes ----------------------------------------------------------------------------------------------------

def test_a_full_disk_is_exit_code_74_and_a_folder_in_use_75(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{k % 7},{'ab'[k % 2]}\n" for k in range(60)))
    command = ["train", str(tmp_path / "t.csv"), "--target", "y", "--epochs", "1", "--no-peers", "-q", "--out"]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
            code = main([*command, str(tmp_path / "full")])
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 74
    owner = Checkpoints(tmp_path / "taken")
    owner.begin({})
    assert main([*command, str(tmp_path / "taken"), "--force"]) == 75
    told = capsys.readouterr().err
    assert f"another run writes this folder: 'process {os.getpid()}" in told and "now  nothing was trained" in told
    owner.close()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell):
    words = {"bash": {"COMP_WORDS": "backproof tr", "COMP_CWORD": "1"}, "zsh": {"_TYPER_COMPLETE_ARGS": "backproof tr"},
             "fish": {"_TYPER_COMPLETE_ARGS": "backproof tr", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}}[shell]
    program = Path(sys.executable).with_name("backproof")
    shown = subprocess.run([str(program), "--show-completion", shell], capture_output=True, text=True,
                           env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})     # else: the parent process's
    if not program.exists():
        pytest.skip("the command is not installed beside this Python")
    assert shown.returncode == 0 and "backproof" in shown.stdout
    found = subprocess.run([str(program)], capture_output=True, text=True,
                           env={**os.environ, **words, "_BACKPROOF_COMPLETE": f"complete_{shell}"})
    assert "train" in found.stdout and "trace" in found.stdout and "predict" not in found.stdout


def test_kinds_are_declared_on_the_command_line(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("zip,y\n" + "".join(f"{10 + k % 3},{'ab'[k % 2]}\n" for k in range(60)))
    command = ["train", str(tmp_path / "t.csv"), "--target", "y", "--epochs", "1", "--no-peers", "--out", str(tmp_path / "run"),
               "--types"]
    assert main([*command, "zip=category", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["network"].startswith("3 |")
    assert main([*command, "zip=postcode"]) == 2 and "no column and kind" in capsys.readouterr().err
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_table(tmp_path / "t.csv", types={"zip": "category"})["zip"].kind == "category"
    with pytest.raises(OptionError):
        read_table(tmp_path / "t.csv", types={"zip": "postcode"})


def test_j12_a_crash_in_a_callback_is_shown_and_the_checkpoints_load(tmp_path):
    script = f"""
        import faulthandler, os, signal
        import numpy as np
        from backproof import Network
        from backproof.train.checkpoints import Checkpoints
        faulthandler.enable()
        X = np.arange(60.0).reshape(20, 3) / 60
        def crash(record):
            if record["epoch"] == 2:
                os.kill(os.getpid(), signal.SIGSEGV)
        Network("3 | 4 tanh | 1").build(seed=0).fit(X, X[:, 0], epochs=5, batch_size=5, callbacks=[crash] if {{crashing}} else [],
                                                    checkpoints=Checkpoints({str(tmp_path / "run")!r}, every=1, seconds=0))
    """
    def run(crashing):
        code = textwrap.dedent(script.format(crashing=crashing))
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    died = run(True)
    assert died.returncode == -signal.SIGSEGV and "Segmentation fault" in died.stderr
    assert re.search(r'loop.py", line \d+ in train.*model.py", line \d+ in fit', died.stderr, re.DOTALL)
    assert Checkpoints(tmp_path / "run").steps()
    assert run(False).returncode == 0                                        # it goes on from there


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
