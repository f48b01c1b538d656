/* Words said by espeak-ng's voices, and the rooms in which they are heard. */
#ifndef KEYWORD_SPOTTER_SPEECH_H
#define KEYWORD_SPOTTER_SPEECH_H

#include <stdbool.h>
#include <stdint.h>

#include "ir/base/diag.h"
#include "ir/base/rng.h"

enum { RATE = 16000, SECOND = RATE };
enum { KEYWORDS = 10, CLASSES = KEYWORDS + 2, UNKNOWN = KEYWORDS, SILENCE = KEYWORDS + 1 };
typedef enum SplitId { SPLIT_TRAIN, SPLIT_VAL, SPLIT_TEST, SPLITS } SplitId;

/* The word of a class, "unknown" and "silence" too. */
const char *class_name(int label);

/* Is espeak-ng there, with every variant of voices.def, and each of these in one split? Otherwise says what is wrong. */
bool speech_check(Diag *d);
/* Number of voices of a split; the place in voices.def of its k-th. */
int speech_voices(SplitId split, int k, int *row);

/* One second of 16 kHz: a word of class `label` somewhere in it (none for SILENCE), said by voice `row` of voices.def with an
 * accent, rate and pitch of r's; level about 0.1. */
bool speech_say(int row, int label, Rng *r, float x[SECOND], Diag *d);

/* Echoes of a room, background noise at 5 to 30 dB below the word, gain: in place. speech: there is a word. */
void room_hear(Rng *r, bool speech, float x[SECOND]);

#endif
