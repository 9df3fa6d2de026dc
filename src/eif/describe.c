#include "eif/describe.h"

#include "codec/hex.h"
#include "codec/json.h"

enum { METADATA_MAX_NODES = 1 << 16, CERTIFICATE_JSON_MAX_BYTES = 128 << 10 };

/* Members of BuildMetadata, in nitro-cli's order; what is custom may not take their names. */
static const char *const build_members[] = { "BuildTime", "BuildTool", "BuildToolVersion",
	"OperatingSystem", "KernelVersion" };
enum { N_BUILD_MEMBERS = sizeof(build_members) / sizeof(build_members[0]) };

static void
put_register(struct buf *b, const char *indent, const char *name,
    const uint8_t pcr[static SHA384_LEN], const char *end)
{
	buf_put_str(b, indent);
	buf_put_byte(b, '"');
	buf_put_str(b, name);
	buf_put_str(b, "\": \"");
	hex_put(b, span_of(pcr, SHA384_LEN));
	buf_put_str(b, end);
}

static void
put_measurements(struct buf *b, const struct eif *img)
{
	static const char indent[] = "    ";
	bool is_signed = img->signature.present;

	buf_put_str(b, "  \"Measurements\": {\n");
	buf_put_str(b, indent);
	buf_put_str(b, "\"HashAlgorithm\": \"Sha384 { ... }\",\n");
	put_register(b, indent, "PCR0", img->pcr[0], "\",\n");
	put_register(b, indent, "PCR1", img->pcr[1], "\",\n");
	put_register(b, indent, "PCR2", img->pcr[2], is_signed ? "\",\n" : "\"\n");
	if (is_signed)
		put_register(b, indent, "PCR8", img->signature.pcr8, "\"\n");
	buf_put_str(b, "  }");
}

void
describe_measurements(struct buf *b, const struct eif *img)
{
	buf_put_str(b, "{\n");
	put_measurements(b, img);
	buf_put_str(b, "\n}\n");
}

static void
put_bool(struct buf *b, const char *name, bool v)
{
	buf_put_str(b, ",\n  \"");
	buf_put_str(b, name);
	buf_put_str(b, v ? "\": true" : "\": false");
}

/* A member whose value is taken over as it stands in the metadata, if it is there. */
static void
put_raw(struct buf *b, const char *before, const char *name, const struct json *doc, uint32_t at)
{
	if (at == JSON_NONE)
		return;
	buf_put_str(b, before);
	buf_put_byte(b, '"');
	buf_put_str(b, name);
	buf_put_str(b, "\": ");
	buf_put(b, json_raw(doc, at));
}

static bool
is_own_name(const struct json *doc, uint32_t name)
{
	if (json_is(doc, name, "DockerInfo"))
		return true;
	for (int i = 0; i < N_BUILD_MEMBERS; i++)
		if (json_is(doc, name, build_members[i]))
			return true;
	return false;
}

/* One flat object, custom members last. */
static void
put_metadata(struct buf *b, const struct json *doc)
{
	uint32_t build = json_get(doc, 0, "BuildMetadata");
	uint32_t custom = json_get(doc, 0, "CustomMetadata");
	size_t start;

	put_raw(b, ",\n  ", "ImageName", doc, json_get(doc, 0, "ImageName"));
	put_raw(b, ",\n  ", "ImageVersion", doc, json_get(doc, 0, "ImageVersion"));
	buf_put_str(b, ",\n  \"Metadata\": {");
	start = b->n;
	for (int i = 0; i < N_BUILD_MEMBERS; i++)
		put_raw(b, b->n == start ? "\n    " : ",\n    ", build_members[i], doc,
		    json_get(doc, build, build_members[i]));
	put_raw(b, b->n == start ? "\n    " : ",\n    ", "DockerInfo", doc,
	    json_get(doc, 0, "DockerInfo"));
	if (custom != JSON_NONE && json_type(doc, custom) == JSON_OBJECT)
		for (uint32_t c = json_first(doc, custom); c != JSON_NONE;
		     c = json_after(doc, custom, c)) {
			if (is_own_name(doc, c))
				continue;
			buf_put_str(b, b->n == start ? "\n    " : ",\n    ");
			buf_put(b, json_raw(doc, c));
			buf_put_str(b, ": ");
			buf_put(b, json_raw(doc, c + 1));
		}
	buf_put_str(b, "\n  }");
}

static struct err
put_certificate(struct buf *b, const struct eif *img)
{
	struct buf json;
	struct err e;

	buf_init(&json, CERTIFICATE_JSON_MAX_BYTES);
	if (!failed(e = ecdsa_cert_describe(img->signature.certificate, &json))) {
		buf_put_str(b, ",\n  \"SigningCertificate\": ");
		buf_put(b, buf_span(&json));
	}
	buf_fini(&json);
	return e;
}

struct err
describe_json(struct buf *b, const struct eif *img)
{
	bool is_signed = img->signature.present;
	struct json doc;

	buf_put_str(b, "{\n  \"EifVersion\": ");
	buf_put_u64(b, img->version);
	buf_put_str(b, ",\n");
	put_measurements(b, img);
	put_bool(b, "IsSigned", is_signed);
	if (is_signed)
		TRY(put_certificate(b, img));
	/* An image whose CRC does not fit is not described at all. */
	put_bool(b, "CheckCRC", true);
	if (is_signed)
		put_bool(b, "SignatureCheck", img->signature.good);
	if (eif_find(img, EIF_METADATA) != NULL) {
		TRY(json_parse(&doc, buf_span(&img->metadata), METADATA_MAX_NODES));
		put_metadata(b, &doc);
		json_fini(&doc);
	}
	buf_put_str(b, "\n}\n");
	return buf_check(b);
}

/*
 * For people. Whatever comes from the file is escaped: it may be aimed at a terminal.
 */
static void
put_line(struct buf *b, const char *name, const char *value)
{
	buf_put_str(b, name);
	buf_put_str(b, ": ");
	buf_put_str(b, value);
	buf_put_byte(b, '\n');
}

/* Bytes that may be no text at all; what is not printable ASCII as \xhh. */
static void
put_foreign(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] >= ' ' && s.p[i] < 0x7f) {
			buf_put_byte(b, s.p[i]);
		} else {
			buf_put_str(b, "\\x");
			hex_put(b, span_cut(s, i, i + 1));
		}
	}
}

static void
put_text_register(struct buf *b, const char *name, const uint8_t pcr[static SHA384_LEN])
{
	buf_put_str(b, name);
	buf_put_str(b, ": ");
	hex_put(b, span_of(pcr, SHA384_LEN));
	buf_put_byte(b, '\n');
}

static void
put_sections(struct buf *b, const struct eif *img)
{
	for (size_t i = 0; i < img->n; i++) {
		const struct eif_section *s = &img->section[i];

		buf_put_str(b, "section ");
		buf_put_u64(b, i);
		buf_put_str(b, ": ");
		buf_put_str(b, eif_type_name(s->type));
		buf_put_str(b, ", ");
		buf_put_u64(b, s->size);
		buf_put_str(b, " bytes at ");
		buf_put_u64(b, s->at);
		buf_put_byte(b, '\n');
	}
}

static struct err
put_text_signature(struct buf *b, const struct eif *img)
{
	struct buf json;
	struct err e;

	if (!img->signature.present) {
		put_line(b, "signature", "none");
		return OK;
	}
	put_text_register(b, "PCR8", img->signature.pcr8);
	put_line(b, "signature", img->signature.good ? "good" : "BAD");
	if (!img->signature.good)
		put_line(b, "because", img->signature.why);
	buf_init(&json, CERTIFICATE_JSON_MAX_BYTES);
	if (!failed(e = ecdsa_cert_describe(img->signature.certificate, &json))) {
		buf_put_str(b, "certificate: ");
		put_foreign(b, buf_span(&json));
		buf_put_byte(b, '\n');
	}
	buf_fini(&json);
	return e;
}

struct err
describe_text(struct buf *b, const struct eif *img)
{
	char crc[16];

	buf_put_str(b, "version: ");
	buf_put_u64(b, img->version);
	buf_put_byte(b, '\n');
	put_line(b, "architecture", img->aarch64 ? "aarch64" : "x86_64");
	snprintf(crc, sizeof(crc), "%08x", (unsigned)img->crc);
	put_line(b, "crc32", crc);
	put_sections(b, img);
	/* Between quotes, so that blanks at its end show. */
	buf_put_str(b, "command line: \"");
	put_foreign(b, buf_span(&img->cmdline));
	buf_put_str(b, "\"\n");
	put_text_register(b, "PCR0", img->pcr[0]);
	put_text_register(b, "PCR1", img->pcr[1]);
	put_text_register(b, "PCR2", img->pcr[2]);
	TRY(put_text_signature(b, img));
	if (eif_find(img, EIF_METADATA) != NULL) {
		buf_put_str(b, "metadata, not measured: ");
		put_foreign(b, buf_span(&img->metadata));
		buf_put_byte(b, '\n');
	}
	return buf_check(b);
}
