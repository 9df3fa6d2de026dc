/*
 * banned.h - functions that fail to compile here, and what to use instead. Force-included in
 * every source file of ours by the build (never in packaged third-party sources).
 */
#ifndef CORE_BANNED_H
#define CORE_BANNED_H

/* The headers that declare them come first, so that only our own uses are caught. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#pragma GCC poison strcpy strncpy strcat strncat stpcpy /* core/buf.h */
#pragma GCC poison sprintf vsprintf gets		/* snprintf, core/buf.h */
#pragma GCC poison strtok atoi atol atoll atof		/* core/span.h: span_u64 */
#pragma GCC poison strtol strtoul strtoll strtoull	/* core/span.h: span_u64 */
#pragma GCC poison gmtime localtime ctime asctime	/* gmtime_r, and sys/clock.h */
#pragma GCC poison memcmp bcmp				/* span_eq; ct_equal for secrets */
#pragma GCC poison setlocale

/* Words that libraries use for parameters and fields: only calling the function is an error. */
#ifdef __clang__
#define BANNED __attribute__((unavailable("banned: see core/banned.h")))
#else
#define BANNED __attribute__((error("banned: see core/banned.h")))
#endif
int rand(void) BANNED;	  /* crypto/rng.h */
long random(void) BANNED; /* crypto/rng.h */
double drand48(void) BANNED;

#endif
