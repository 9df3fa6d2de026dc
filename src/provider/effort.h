/*
 * effort.h - which of a model's values stands for a reasoning_effort. Pure.
 * Source: providers.md 3.6, 5.6, 6.6; interfaces.md C3.
 */
#ifndef PROVIDER_EFFORT_H
#define PROVIDER_EFFORT_H

#include "pricing/models.h"
#include "provider/request.h"

/*
 * The effort that is sent: the one asked for, else the nearest below it, else the lowest the model
 * takes. SPAN_NONE: it takes none.
 */
struct span effort_of(const struct request *rq, const struct model *model);

#endif
