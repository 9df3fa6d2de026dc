#include "x402/reason.h"

#include <assert.h>

static const struct {
	const char *code, *error;
} words[] = {
#define X402_REASON_ROW(id, code, error) { code, error },
	X402_REASONS(X402_REASON_ROW)
#undef X402_REASON_ROW
};

const char *
x402_code(enum x402_reason reason)
{
	assert(reason < X402_REASON_COUNT);
	return words[reason].code;
}

const char *
x402_error(enum x402_reason reason)
{
	assert(reason < X402_REASON_COUNT);
	return words[reason].error;
}
