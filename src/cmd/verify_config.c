#include "cmd/verify_config.h"

#include "core/limits.h"

static struct err
same_value(const struct json *x, uint32_t at_x, const struct json *y, uint32_t at_y,
    struct arena *a, bool *same)
{
	struct buf one, other;
	struct err e;

	buf_init(&one, 8 * CONFIG_MAX_BYTES);
	buf_init(&other, 8 * CONFIG_MAX_BYTES);
	if (!failed(e = json_put_python(&one, x, at_x, a)) &&
	    !failed(e = json_put_python(&other, y, at_y, a)) && !failed(e = buf_check(&one)) &&
	    !failed(e = buf_check(&other)))
		*same = span_eq(buf_span(&one), buf_span(&other));
	buf_fini(&one);
	buf_fini(&other);
	return e;
}

struct err
config_compare(const struct json *x, uint32_t at_x, const struct json *y, uint32_t at_y,
    struct arena *a, bool *same, struct span *member)
{
	struct json_member *mine, *theirs;
	uint32_t n = 0, m = 0;

	TRY(json_members(x, at_x, a, &mine, &n));
	TRY(json_members(y, at_y, a, &theirs, &m));
	*same = true;
	for (uint32_t i = 0, k = 0; *same && (i < n || k < m); i++, k++) {
		int order = i == n ? 1 : k == m ? -1 : span_cmp(mine[i].name, theirs[k].name);

		*member = order > 0 ? theirs[k].name : mine[i].name;
		if (order != 0)
			*same = false;
		else
			TRY(same_value(x, mine[i].at + 1, y, theirs[k].at + 1, a, same));
	}
	return OK;
}
