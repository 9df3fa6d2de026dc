#include "provider/refusal.h"

#include <stdarg.h>
#include <stdio.h>

bool
refuse(struct refusal *no, const char *code, const char *param, const char *fmt, ...)
{
	va_list ap;

	no->status = 400;
	no->code = code;
	snprintf(no->param, sizeof(no->param), "%s", param);
	va_start(ap, fmt);
	vsnprintf(no->message, sizeof(no->message), fmt, ap);
	va_end(ap);
	return false;
}

void
refusal_name(char out[static 65], struct span name)
{
	size_t n = name.n < 64 ? name.n : 64;

	for (size_t i = 0; i < n; i++) {
		uint8_t c = name.p[i];

		out[i] = c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '\'' ? (char)c
										     : '?';
	}
	out[n] = '\0';
}
