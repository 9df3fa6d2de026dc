#include "provider/parts.h"

#include "core/limits.h"

bool
inner_is(struct span inner, const char *text)
{
	struct json_points it = { .s = inner };
	uint32_t cp;

	for (; *text != '\0'; text++)
		if (!json_point(&it, &cp) || cp != (uint32_t)(uint8_t)*text)
			return false;
	return !json_point(&it, &cp);
}

/* 1 for what base64 is made of; pictures are megabytes, so this looks at every byte once. */
static const uint8_t alphabet[256] = {
	['+'] = 1,
	['/'] = 1,
#define RUN10(c)                                                                              \
	[(c)] = 1, [(c) + 1] = 1, [(c) + 2] = 1, [(c) + 3] = 1, [(c) + 4] = 1, [(c) + 5] = 1, \
	[(c) + 6] = 1, [(c) + 7] = 1, [(c) + 8] = 1, [(c) + 9] = 1
#define RUN26(c)                                                                                   \
	RUN10(c), RUN10((c) + 10), [(c) + 20] = 1, [(c) + 21] = 1, [(c) + 22] = 1, [(c) + 23] = 1, \
					  [(c) + 24] = 1, [(c) + 25] = 1
	RUN10('0'),
	RUN26('A'),
	RUN26('a'),
};

/* From here on, how many bytes are of the alphabet. */
static size_t
run_of(struct span s, size_t at)
{
	size_t i = at;

	while (s.n - i >= 8 &&
	    (alphabet[s.p[i]] & alphabet[s.p[i + 1]] & alphabet[s.p[i + 2]] & alphabet[s.p[i + 3]] &
		alphabet[s.p[i + 4]] & alphabet[s.p[i + 5]] & alphabet[s.p[i + 6]] &
		alphabet[s.p[i + 7]]))
		i += 8;
	while (i < s.n && alphabet[s.p[i]])
		i++;
	return i - at;
}

bool
inner_is_base64(struct span inner)
{
	size_t at = 0, digits = 0, padding = 0, n;

	for (;;) {
		n = run_of(inner, at);
		digits += n;
		at += n;
		/* PHP's way to write a slash. */
		if (inner.n - at < 2 || inner.p[at] != '\\' || inner.p[at + 1] != '/')
			break;
		digits++;
		at += 2;
	}
	while (at < inner.n && inner.p[at] == '=' && padding < 2) {
		padding++;
		at++;
	}
	return at == inner.n && digits > 1 && (digits + padding) % 4 == 0;
}

/* data:TYPE;base64,DATA (RFC 2397). The type's own parameters are dropped. */
static bool
split_data_url(struct span inner, struct span *mime, struct span *data)
{
	static const struct span prefix = SPAN_LIT("data:");
	/* In front of megabytes: no type is longer. */
	size_t comma = span_find(
	    span_cut(inner, 0, inner.n < 256 ? inner.n : 256), SPAN_LIT(","), 0);
	struct span type;
	size_t end;

	if (!span_starts(inner, prefix) || comma == SIZE_MAX)
		return false;
	type = span_cut(inner, prefix.n, comma);
	if (type.n < 7 || !span_eq_nocase(span_cut(type, type.n - 7, type.n), SPAN_LIT(";base64")))
		return false;
	end = span_find(type, SPAN_LIT(";"), 0);
	*mime = span_cut(type, 0, end);
	*data = span_cut(inner, comma + 1, inner.n);
	return true;
}

static bool
is_text(const struct json *doc, uint32_t at)
{
	return at != JSON_NONE && json_type(doc, at) == JSON_STRING;
}

/* What every provider that takes pictures takes. "image/jpg" is no type, and often written. */
struct span
inner_picture_type(struct span inner)
{
	static const struct {
		const char *written;
		struct span type;
	} types[] = {
		{ "image/png", SPAN_LIT("image/png") },
		{ "image/jpeg", SPAN_LIT("image/jpeg") },
		{ "image/jpg", SPAN_LIT("image/jpeg") },
		{ "image/webp", SPAN_LIT("image/webp") },
		{ "image/gif", SPAN_LIT("image/gif") },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (inner_is(inner, types[i].written))
			return types[i].type;
	return SPAN_NONE;
}

static bool
read_image(const struct json *doc, uint32_t image, struct part *out, const char **member,
    const char **want)
{
	uint32_t url = json_get(doc, image, "url"), detail = json_get(doc, image, "detail");
	struct span mime;

	*member = ".image_url.detail";
	*want = "\"auto\", \"low\" or \"high\"";
	if (detail != JSON_NONE && json_type(doc, detail) != JSON_NULL &&
	    !json_is(doc, detail, "auto") && !json_is(doc, detail, "low") &&
	    !json_is(doc, detail, "high"))
		return false;
	*member = ".image_url.url";
	*want = "an https URL or data:TYPE;base64,DATA";
	if (!is_text(doc, url))
		return false;
	out->url = json_inner(doc, url);
	if (span_starts(out->url, SPAN_LIT("https://")) ||
	    span_starts(out->url, SPAN_LIT("https:\\/\\/")))
		return true;
	if (!split_data_url(out->url, &mime, &out->data))
		return false;
	out->url = SPAN_NONE;
	out->mime = inner_picture_type(mime);
	*want = "a png, jpeg, webp or gif picture";
	if (out->mime.p == NULL)
		return false;
	*want = "base64 with its padding and without line breaks";
	return inner_is_base64(out->data);
}

static bool
read_audio(const struct json *doc, uint32_t audio, struct part *out, const char **member,
    const char **want)
{
	uint32_t data = json_get(doc, audio, "data"), format = json_get(doc, audio, "format");

	*member = ".input_audio.format";
	*want = "\"wav\" or \"mp3\"";
	if (json_is(doc, format, "wav"))
		out->mime = SPAN_LIT("audio/wav");
	else if (json_is(doc, format, "mp3"))
		out->mime = SPAN_LIT("audio/mp3");
	else
		return false;
	*member = ".input_audio.data";
	*want = "base64 with its padding and without line breaks";
	if (!is_text(doc, data))
		return false;
	out->data = json_inner(doc, data);
	return inner_is_base64(out->data);
}

static bool
is_media_type(struct span mime)
{
	bool slash = false;

	for (size_t i = 0; i < mime.n; i++) {
		uint8_t c = mime.p[i], lower = c | 0x20;

		slash = slash || c == '/';
		if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '/' &&
		    c != '\\' && c != '+' && c != '-' && c != '.')
			return false;
	}
	return slash;
}

static bool
read_file(
    const struct json *doc, uint32_t file, struct part *out, const char **member, const char **want)
{
	uint32_t data = json_get(doc, file, "file_data"), id = json_get(doc, file, "file_id");

	/* An id is of the operator's own store: it may be another customer's file. */
	*member = ".file.file_id";
	*want = "absent: files of the operator's account are nobody's to read; send file_data";
	if (id != JSON_NONE && json_type(doc, id) != JSON_NULL)
		return false;
	*member = ".file.file_data";
	*want = "data:TYPE;base64,DATA";
	if (!is_text(doc, data) || !split_data_url(json_inner(doc, data), &out->mime, &out->data) ||
	    !is_media_type(out->mime))
		return false;
	*want = "base64 with its padding and without line breaks";
	return inner_is_base64(out->data);
}

static const struct {
	const char *name, *member;
	bool (*read)(const struct json *doc, uint32_t at, struct part *out, const char **member,
	    const char **want);
} kinds[PART_KINDS] = {
	[PART_IMAGE] = { "image_url", ".image_url", read_image },
	[PART_AUDIO] = { "input_audio", ".input_audio", read_audio },
	[PART_FILE] = { "file", ".file", read_file },
};

bool
part_read(
    const struct json *doc, uint32_t at, struct part *out, const char **member, const char **want)
{
	uint32_t type = json_get(doc, at, "type");

	*out = (struct part){ 0 };
	for (enum part_kind k = 0; k < PART_KINDS; k++) {
		uint32_t value = json_get(doc, at, kinds[k].name);

		if (!json_is(doc, type, kinds[k].name))
			continue;
		*member = kinds[k].member;
		*want = "an object";
		out->kind = k;
		return value != JSON_NONE && json_type(doc, value) == JSON_OBJECT &&
		    kinds[k].read(doc, value, out, member, want);
	}
	*member = ".type";
	*want = "a known kind of part";
	return false;
}

bool
parts_fit(const struct parts_facts *f, const struct model *model, bool fetches, struct refusal *no)
{
	const char *provider = provider_name(model->provider);
	unsigned all = 0;

	for (enum part_kind k = 0; k < PART_KINDS; k++) {
		all += f->n[k];
		if (f->n[k] > 0 && !model->part[k].taken)
			return refuse(no, "unsupported_parameter", f->first[k],
			    "%s: parts of the type %s are not taken by this model (provider %s).",
			    f->first[k], kinds[k].name, provider);
	}
	if (all > PARTS_MAX)
		return refuse(no, "invalid_value", "messages",
		    "messages may hold at most %u pictures, sounds and files.", PARTS_MAX);
	if (f->by_url[0] != '\0' && !fetches)
		return refuse(no, "invalid_value", f->by_url,
		    "%s: this model's provider (%s) takes pictures as data:TYPE;base64,DATA, and "
		    "the gateway fetches nothing.",
		    f->by_url, provider);
	return true;
}

bool
parts_max_tokens(
    const struct parts_facts *f, const struct model *model, uint64_t *tokens, enum part_kind *kind)
{
	*tokens = 0;
	for (*kind = 0; *kind < PART_KINDS; (*kind)++) {
		if (f->n[*kind] > 0 && model->part[*kind].max_tokens == 0)
			return false;
		*tokens += (uint64_t)f->n[*kind] * model->part[*kind].max_tokens;
	}
	return true;
}
