#include "provider/effort.h"

struct span
effort_of(const struct request *rq, const struct model *model)
{
	static const struct span order[] = { SPAN_LIT("none"), SPAN_LIT("minimal"), SPAN_LIT("low"),
		SPAN_LIT("medium"), SPAN_LIT("high"), SPAN_LIT("xhigh"), SPAN_LIT("max") };
	enum { ORDER = sizeof(order) / sizeof(order[0]) };
	struct span below = SPAN_NONE;
	bool reached = false;

	for (size_t i = 0; i < ORDER; i++) {
		bool taken = false;

		for (size_t k = 0; k < model->n_efforts; k++)
			taken = taken || span_eq(model->effort[k], order[i]);
		if (taken && (!reached || below.p == NULL))
			below = order[i];
		reached = reached ||
		    json_is(&rq->doc, rq->at[PARAM_REASONING_EFFORT], (const char *)order[i].p);
		if (reached && below.p != NULL)
			return below;
	}
	return below;
}
