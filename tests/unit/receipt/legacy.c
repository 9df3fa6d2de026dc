/* legacy.c, legacy_read.c: output hashes, the signed message, and answers read back. */
#include "receipt/legacy.h"

#include <string.h>

#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "../vectors.h"
#include "codec/b64.h"
#include "crypto/address.h"
#include "crypto/digest.h"
#include "crypto/pss.h"
#include "receipt/canonical.h"

static struct vectors vectors, requests;

/* The output hash of a vector: text, or the calls of the list that was signed. */
static void
hash_output(struct span signed_text, bool calls, uint8_t out[static KECCAK_LEN])
{
	struct buf literal;
	struct output o;
	struct json doc;

	output_init(&o);
	if (calls) {
		assert_int_equal(json_parse(&doc, signed_text, JSON_MAX_NODES).code, ERR_OK);
		assert_int_equal(output_tool_calls(&o, &doc, 0).code, ERR_OK);
		json_fini(&doc);
	} else {
		buf_init(&literal, 1 << 16);
		json_put_string(&literal, signed_text);
		output_text(&o, span_cut(buf_span(&literal), 1, literal.n - 1));
		assert_int_equal(o.text_bytes, signed_text.n);
		buf_fini(&literal);
	}
	assert_int_equal(output_hash(&o, calls, out).code, ERR_OK);
	output_fini(&o);
}

static bool
request_hash_is(struct span name, struct span hash)
{
	uint32_t list = vectors_get(&requests, 0, "vectors");

	for (uint32_t c = json_first(&requests.doc, list); c != JSON_NONE;
	     c = json_after(&requests.doc, list, c))
		if (span_eq(vectors_text(&requests, c, "name"), name))
			return span_eq(vectors_hex(&requests, vectors_get(&requests, c, "rev2"),
					   "tee_request_hash"),
			    hash);
	return false;
}

static void
check_response(uint32_t at, const struct pss_pub *key, bool valid)
{
	struct span name = vectors_text(&vectors, at, "name");
	struct span request = vectors_hex(&vectors, at, "tee_request_hash");
	struct span preimage = vectors_hex(&vectors, at, "preimage_hex");
	uint8_t output[KECCAK_LEN], message[KECCAK_LEN], digest[SHA256_LEN], whole[KECCAK_LEN];
	struct buf signature;
	uint64_t timestamp;

	if (!request_hash_is(vectors_text(&vectors, at, "request_vector"), request))
		fail_msg("%s: request hash", (const char *)name.p);
	hash_output(vectors_text(&vectors, at, "signed_output_utf8"),
	    span_starts(name, SPAN_LIT("tool_calls")), output);
	if (!span_eq(span_of(output, KECCAK_LEN), vectors_hex(&vectors, at, "tee_output_hash")))
		fail_msg("%s: output hash", (const char *)name.p);
	assert_true(json_u64(
	    &vectors.doc, vectors_get(&vectors, at, "tee_timestamp"), UINT64_MAX, &timestamp));
	legacy_message(request.p, output, timestamp, message);
	keccak_256(preimage, whole);
	assert_memory_equal(message, whole, KECCAK_LEN);
	if (!span_eq(span_of(message, KECCAK_LEN), vectors_hex(&vectors, at, "msg_hash")))
		fail_msg("%s: message", (const char *)name.p);
	sha256_of(span_of(message, KECCAK_LEN), digest);
	assert_true(
	    span_eq(span_of(digest, SHA256_LEN), vectors_hex(&vectors, at, "sha256_of_msg_hash")));
	buf_init(&signature, 1024);
	assert_int_equal(
	    b64_parse(&signature, vectors_text(&vectors, at, "example_tee_signature_b64")).code,
	    ERR_OK);
	if (failed(pss_verify(key, span_of(message, KECCAK_LEN), buf_span(&signature))) == valid)
		fail_msg("%s: signature", (const char *)name.p);
	buf_fini(&signature);
}

static void
published_responses(void **state)
{
	static const char *const lists[] = { "vectors", "negative" };
	struct pss_pub *key;
	struct buf spki;
	char id[TEE_ID_LEN];
	uint32_t seen = 0;

	vectors_open(&vectors, "signing/responses.json");
	vectors_open(&requests, "signing/canonical_requests.json");
	buf_init(&spki, RSA_SPKI_MAX_BYTES);
	assert_int_equal(
	    pss_pub_from_pem(&key, vectors_text(&vectors, 0, "public_key_pem"), &spki).code,
	    ERR_OK);
	assert_true(span_eq(buf_span(&spki), vectors_hex(&vectors, 0, "public_key_spki_der_hex")));
	legacy_tee_id(buf_span(&spki), id);
	assert_true(span_eq(span_of(id, TEE_ID_LEN), vectors_text(&vectors, 0, "tee_id")));
	for (int l = 0; l < 2; l++) {
		uint32_t list = vectors_get(&vectors, 0, lists[l]);

		for (uint32_t c = json_first(&vectors.doc, list); c != JSON_NONE;
		     c = json_after(&vectors.doc, list, c), seen++)
			check_response(c, key, l == 0);
	}
	assert_int_equal(seen, 9);
	pss_pub_free(key);
	buf_fini(&spki);
	vectors_close(&requests);
	vectors_close(&vectors);
}

/* The public point of a private key, by OpenSSL's own arithmetic. */
static void
point_of(struct span private_key, uint8_t out[static 64])
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp256k1);
	EC_POINT *point = EC_POINT_new(group);
	BIGNUM *k = BN_bin2bn(private_key.p, (int)private_key.n, NULL);
	uint8_t octets[65];

	assert_int_equal(EC_POINT_mul(group, point, k, NULL, NULL, NULL), 1);
	assert_int_equal(EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, octets,
			     sizeof(octets), NULL),
	    65);
	memcpy(out, octets + 1, 64);
	BN_free(k);
	EC_POINT_free(point);
	EC_GROUP_free(group);
}

static void
published_identity(void **state)
{
	uint8_t point[64], hash[SHA256_LEN], pcrs[3 * 48];
	char id[TEE_ID_LEN], address[ADDRESS_LEN];
	struct address account;
	uint32_t list, seen = 0;
	struct span spki;

	vectors_open(&vectors, "signing/identity.json");
	spki = vectors_hex(&vectors, 0, "signing_key_spki_der_hex");
	legacy_tee_id(spki, id);
	assert_true(span_eq(span_of(id, TEE_ID_LEN), vectors_text(&vectors, 0, "tee_id")));
	sha256_of(spki, hash);
	assert_true(
	    span_eq(span_of(hash, SHA256_LEN), vectors_hex(&vectors, 0, "signing_key_sha256_hex")));
	assert_true(
	    span_ends(vectors_hex(&vectors, 0, "user_data_hex"), span_of(hash, SHA256_LEN)));
	list = vectors_get(&vectors, 0, "wallet_address_eip55");
	for (uint32_t c = json_first(&vectors.doc, list); c != JSON_NONE;
	     c = json_after(&vectors.doc, list, c), seen++) {
		point_of(vectors_hex(&vectors, c, "private_key"), point);
		address_of_point(&account, point);
		address_text(&account, address);
		if (!span_eq(span_of(address, ADDRESS_LEN), vectors_text(&vectors, c, "address")))
			fail_msg("%.*s", ADDRESS_LEN, address);
	}
	assert_int_equal(seen, 3);
	list = vectors_get(&vectors, 0, "pcr_hash");
	for (uint32_t c = json_first(&vectors.doc, list); c != JSON_NONE;
	     c = json_after(&vectors.doc, list, c)) {
		memcpy(pcrs, vectors_hex(&vectors, c, "PCR0").p, 48);
		memcpy(pcrs + 48, vectors_hex(&vectors, c, "PCR1").p, 48);
		memcpy(pcrs + 96, vectors_hex(&vectors, c, "PCR2").p, 48);
		keccak_256(span_of(pcrs, sizeof(pcrs)), hash);
		assert_true(
		    span_eq(span_of(hash, KECCAK_LEN), vectors_hex(&vectors, c, "pcr_hash")));
	}
	vectors_close(&vectors);
}

static void
published_heartbeats(void **state)
{
	uint8_t message[KECCAK_LEN], whole[KECCAK_LEN];
	uint32_t list, seen = 0;
	struct vectors keys;
	struct pss_pub *key;
	struct span tee_id;
	struct buf spki;

	vectors_open(&vectors, "signing/heartbeat.json");
	vectors_open(&keys, "signing/responses.json");
	buf_init(&spki, RSA_SPKI_MAX_BYTES);
	assert_int_equal(
	    pss_pub_from_pem(&key, vectors_text(&keys, 0, "public_key_pem"), &spki).code, ERR_OK);
	tee_id = vectors_hex(&vectors, 0, "tee_id");
	assert_int_equal(tee_id.n, KECCAK_LEN);
	list = vectors_get(&vectors, 0, "vectors");
	for (uint32_t c = json_first(&vectors.doc, list); c != JSON_NONE;
	     c = json_after(&vectors.doc, list, c), seen++) {
		struct span preimage = vectors_hex(&vectors, c, "preimage_hex");
		struct buf signature;
		uint64_t timestamp;

		assert_true(json_u64(
		    &vectors.doc, vectors_get(&vectors, c, "timestamp"), UINT64_MAX, &timestamp));
		legacy_heartbeat(tee_id.p, timestamp, message);
		keccak_256(preimage, whole);
		assert_memory_equal(message, whole, KECCAK_LEN);
		assert_true(
		    span_eq(span_of(message, KECCAK_LEN), vectors_hex(&vectors, c, "msg_hash")));
		buf_init(&signature, 1024);
		assert_int_equal(
		    b64_parse(&signature, vectors_text(&vectors, c, "example_signature_b64")).code,
		    ERR_OK);
		assert_int_equal(
		    pss_verify(key, span_of(message, KECCAK_LEN), buf_span(&signature)).code,
		    ERR_OK);
		buf_fini(&signature);
	}
	assert_int_equal(seen, 2);
	pss_pub_free(key);
	buf_fini(&spki);
	vectors_close(&keys);
	vectors_close(&vectors);
}

/* Text in pieces: what is hashed is what a client's string would hold. */
static void
text_in_pieces(void **state)
{
	static const struct {
		const char *rule, *piece[4], *want;
	} rows[] = {
		{ "no piece", { NULL }, "" },
		{ "bytes as they are", { "Gr\xc3\xbc", "\xc3\x9f" }, "Gr\xc3\xbc\xc3\x9f" },
		{ "escapes are decoded", { "a\\n\\u00e9\\/\\\"", "\\\\" }, "a\n\xc3\xa9/\"\\" },
		{ "a pair in one piece", { "\\ud83d\\ude00" }, "\xf0\x9f\x98\x80" },
		{ "a pair split over two pieces", { "x\\ud83d", "\\ude00y" },
		    "x\xf0\x9f\x98\x80y" },
		{ "a pair split around an empty piece", { "\\ud83d", "", "\\ude00" },
		    "\xf0\x9f\x98\x80" },
		{ "a lone high one at the end", { "x\\ud83d" }, "x\xef\xbf\xbd" },
		{ "a lone high one before text", { "\\ud83d", "x" }, "\xef\xbf\xbdx" },
		{ "a lone high one before an escape", { "\\ud83d", "\\n" }, "\xef\xbf\xbd\n" },
		{ "two high ones, then a low one", { "\\ud83d", "\\ud83d", "\\ude00" },
		    "\xef\xbf\xbd\xf0\x9f\x98\x80" },
		{ "a lone low one", { "\\ude00x" }, "\xef\xbf\xbdx" },
	};

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		uint8_t got[KECCAK_LEN], want[KECCAK_LEN];
		struct output o;

		output_init(&o);
		for (int i = 0; i < 4 && rows[r].piece[i] != NULL; i++)
			output_text(&o, span_str(rows[r].piece[i]));
		assert_int_equal(output_hash(&o, false, got).code, ERR_OK);
		keccak_256(span_str(rows[r].want), want);
		if (!span_eq(span_of(got, KECCAK_LEN), span_of(want, KECCAK_LEN)))
			fail_msg("%s", rows[r].rule);
		assert_int_equal(o.text_bytes, strlen(rows[r].want));
		output_fini(&o);
		output_fini(&o);
	}
}

static void
tool_calls(void **state)
{
	static const struct {
		const char *rule, *delta[3], *want;
		enum err_code code;
	} rows[] = {
		{ "a message's calls count by position",
		    { "[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
		      "\"arguments\":\"{}\"}},{\"id\":\"b\",\"type\":\"function\",\"function\":"
		      "{\"name\":\"g\",\"arguments\":\"\\u00f6\\/\"}}]" },
		    "[{\"function\": {\"arguments\": \"{}\", \"name\": \"f\"}, \"id\": \"a\", "
		    "\"type\": \"function\"}, {\"function\": {\"arguments\": \"\\u00f6/\", "
		    "\"name\": \"g\"}, \"id\": \"b\", \"type\": \"function\"}]",
		    ERR_OK },
		{ "fragments merge by index, and the list is ordered by it",
		    { "[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\"}}]",
			"[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":"
			"{\"name\":\"f\",\"arguments\":\"{\\\"x\\\"\"}}]",
			"[{\"index\":0,\"id\":\"\",\"function\":{\"name\":null,\"arguments\":"
			"\":1}\"}},{\"index\":1,\"function\":{\"arguments\":\"2\"}}]" },
		    "[{\"function\": {\"arguments\": \"{\\\"x\\\":1}\", \"name\": \"f\"}, "
		    "\"id\": \"a\", \"type\": \"function\"}, {\"function\": {\"arguments\": "
		    "\"2\", \"name\": \"g\"}, \"id\": \"b\", \"type\": \"function\"}]",
		    ERR_OK },
		{ "a call that says nothing has the defaults", { "[{}]" },
		    "[{\"function\": {\"arguments\": \"\", \"name\": \"\"}, \"id\": \"\", "
		    "\"type\": \"function\"}]",
		    ERR_OK },
		{ "null index counts by position; null list is none",
		    { "[{\"index\":null}]", "null" },
		    "[{\"function\": {\"arguments\": \"\", \"name\": \"\"}, \"id\": \"\", "
		    "\"type\": \"function\"}]",
		    ERR_OK },
		{ "no call at all: the text is covered", { "[]" }, "", ERR_OK },
		{ "not an array", { "{}" }, NULL, ERR_MALFORMED },
		{ "a call that is no object", { "[1]" }, NULL, ERR_MALFORMED },
		{ "arguments that are an object", { "[{\"function\":{\"arguments\":{}}}]" }, NULL,
		    ERR_MALFORMED },
		{ "function that is no object", { "[{\"function\":[]}]" }, NULL, ERR_MALFORMED },
		{ "an id that is a number", { "[{\"id\":1}]" }, NULL, ERR_MALFORMED },
		{ "an index that is negative", { "[{\"index\":-1}]" }, NULL, ERR_MALFORMED },
	};

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		uint8_t got[KECCAK_LEN], want[KECCAK_LEN];
		struct err e = OK;
		struct output o;

		output_init(&o);
		for (int i = 0; i < 3 && rows[r].delta[i] != NULL && !failed(e); i++) {
			struct json doc;

			assert_int_equal(
			    json_parse(&doc, span_str(rows[r].delta[i]), 100).code, ERR_OK);
			e = output_tool_calls(&o, &doc, 0);
			json_fini(&doc);
		}
		if (e.code != rows[r].code)
			fail_msg("%s: %s", rows[r].rule, e.what == NULL ? "accepted" : e.what);
		if (!failed(e)) {
			assert_int_equal(output_hash(&o, true, got).code, ERR_OK);
			keccak_256(span_str(rows[r].want), want);
			if (!span_eq(span_of(got, KECCAK_LEN), span_of(want, KECCAK_LEN)))
				fail_msg("%s", rows[r].rule);
		}
		output_fini(&o);
	}
}

static void
tool_call_bounds(void **state)
{
	struct output o;
	struct buf list;
	struct json doc;

	for (int calls = 128; calls <= 129; calls++) {
		buf_init(&list, 1 << 16);
		output_init(&o);
		for (int i = 0; i < calls; i++)
			buf_put_str(&list, i == 0 ? "[{}" : ",{}");
		buf_put_byte(&list, ']');
		assert_int_equal(json_parse(&doc, buf_span(&list), 1000).code, ERR_OK);
		assert_int_equal(
		    output_tool_calls(&o, &doc, 0).code, calls == 128 ? ERR_OK : ERR_TOO_LARGE);
		json_fini(&doc);
		output_fini(&o);
		buf_fini(&list);
	}

	/* 17 arguments of 1 MiB each. */
	buf_init(&list, 2 << 20);
	output_init(&o);
	buf_put_str(&list, "[{\"function\":{\"arguments\":\"");
	for (int i = 0; i < 1 << 20; i++)
		buf_put_byte(&list, 'x');
	buf_put_str(&list, "\"}}]");
	assert_int_equal(json_parse(&doc, buf_span(&list), 1000).code, ERR_OK);
	for (int i = 0; i < 17; i++)
		assert_int_equal(
		    output_tool_calls(&o, &doc, 0).code, i < 16 ? ERR_OK : ERR_TOO_LARGE);
	json_fini(&doc);
	output_fini(&o);
	buf_fini(&list);
}

#define H0	      "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
#define REQ	      "\"tee_request_hash\":\"" H0 "\""
#define OUT	      "\"tee_output_hash\":\"" H0 "\""
#define NOW	      "\"tee_timestamp\":1747000000"
#define ID	      "\"tee_id\":\"0x" H0 "\""
#define SIG	      "\"tee_signature\":\"AAEC\""
#define TEE	      REQ "," OUT "," NOW "," ID
#define BODY(choices) "{\"choices\":" choices "," TEE "}"
#define CALL \
	"{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"
#define CALL_HASHED                                                                 \
	"[{\"function\": {\"arguments\": \"{}\", \"name\": \"f\"}, \"id\": \"a\", " \
	"\"type\": \"function\"}]"
#define DELTA(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINAL(reason)                                                                           \
	"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]," TEE \
	"}\n\n"
#define DONE "data: [DONE]\n\n"

static const struct {
	const char *rule, *response, *delivered; /* NULL: refused */
	enum err_code code;
} answers[] = {
	{ "a chat body", BODY("[{\"index\":0,\"message\":{\"content\":\"Hi\"}}]"), "Hi", ERR_OK },
	{ "null content is empty", BODY("[{\"message\":{\"content\":null}}]"), "", ERR_OK },
	{ "a completion's text", BODY("[{\"index\":0,\"text\":\"Hi.\"}]"), "Hi.", ERR_OK },
	{ "only choice 0 is covered",
	    BODY("[{\"index\":1,\"text\":\"b\"},{\"index\":0,\"text\":\"a\"}]"), "a", ERR_OK },
	{ "tool calls instead of their text",
	    BODY("[{\"message\":{\"content\":\"x\",\"tool_calls\":[" CALL "]},"
		 "\"finish_reason\":\"tool_calls\"}]"),
	    CALL_HASHED, ERR_OK },
	{ "text, whatever calls there are, when the reason is another",
	    BODY("[{\"message\":{\"content\":\"x\",\"tool_calls\":[" CALL "]},"
		 "\"finish_reason\":\"length\"}]"),
	    "x", ERR_OK },
	{ "a stream", DELTA("a") ": keep-alive\n\n" DELTA("b") FINAL("stop") DONE, "ab", ERR_OK },
	{ "a stream that begins with a comment", ": x\n\n" DELTA("a") FINAL("stop") DONE, "a",
	    ERR_OK },
	{ "another choice's delta is not covered",
	    DELTA("a") "data: "
		       "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"z\"}}]}\n\n" FINAL(
			   "stop") DONE,
	    "a", ERR_OK },
	{ "an event without choices' content", "data: {\"choices\":[]}\n\n" FINAL("stop") DONE, "",
	    ERR_OK },
	{ "tool calls in a stream",
	    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[" CALL
	    "]}}]}\n\n" FINAL("tool_calls") DONE,
	    CALL_HASHED, ERR_OK },
	{ "completions in a stream",
	    "data: {\"choices\":[{\"index\":0,\"text\":\"a\"}]}\n\n" FINAL("stop") DONE, "a",
	    ERR_OK },

	{ "nothing", "", NULL, ERR_MALFORMED },
	{ "no object", "[]", NULL, ERR_MALFORMED },
	{ "an error body", "{\"error\":{\"message\":\"x\"}}", NULL, ERR_REFUSED },
	{ "an error body that carries the fields", "{\"error\":\"x\",\"choices\":[]," TEE "}", NULL,
	    ERR_REFUSED },
	{ "no fields", "{\"choices\":[{\"text\":\"a\"}]}", NULL, ERR_MALFORMED },
	{ "no choices", "{" TEE "}", NULL, ERR_MALFORMED },
	{ "no tee_output_hash", "{\"choices\":[]," REQ "," NOW "," ID "}", NULL, ERR_MALFORMED },
	{ "no tee_timestamp", "{\"choices\":[]," REQ "," OUT "," ID "}", NULL, ERR_MALFORMED },
	{ "no tee_id", "{\"choices\":[]," REQ "," OUT "," NOW "}", NULL, ERR_MALFORMED },
	{ "a hash with 0x",
	    "{\"choices\":[],\"tee_request_hash\":\"0x" H0 "\"," OUT "," NOW "," ID "}", NULL,
	    ERR_MALFORMED },
	{ "a hash in upper case",
	    "{\"choices\":[],\"tee_request_hash\":"
	    "\"C5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470\"," OUT "," NOW
	    "," ID "}",
	    NULL, ERR_MALFORMED },
	{ "a tee_id without 0x", "{\"choices\":[],\"tee_id\":\"" H0 "\"," REQ "," OUT "," NOW "}",
	    NULL, ERR_MALFORMED },
	{ "a timestamp with a fraction",
	    "{\"choices\":[],\"tee_timestamp\":1.0," REQ "," OUT "," ID "}", NULL, ERR_MALFORMED },
	{ "a timestamp in a string",
	    "{\"choices\":[],\"tee_timestamp\":\"1\"," REQ "," OUT "," ID "}", NULL,
	    ERR_MALFORMED },
	{ "a timestamp above 64 bits",
	    "{\"choices\":[],\"tee_timestamp\":18446744073709551616," REQ "," OUT "," ID "}", NULL,
	    ERR_MALFORMED },
	{ "a signature that is null", "{\"choices\":[],\"tee_signature\":null," TEE "}", NULL,
	    ERR_MALFORMED },
	{ "an empty signature", "{\"choices\":[],\"tee_signature\":\"\"," TEE "}", NULL,
	    ERR_MALFORMED },
	{ "a signature without padding", "{\"choices\":[],\"tee_signature\":\"AA\"," TEE "}", NULL,
	    ERR_MALFORMED },
	{ "a field twice", "{\"choices\":[]," NOW "," TEE "}", NULL, ERR_MALFORMED },
	{ "a field twice, once spelled with an escape",
	    "{\"choices\":[],\"tee\\u005fid\":1," TEE "}", NULL, ERR_MALFORMED },
	{ "choices twice", "{\"choices\":[],\"choices\":[]," TEE "}", NULL, ERR_MALFORMED },
	{ "content twice", BODY("[{\"message\":{\"content\":\"a\",\"content\":\"b\"}}]"), NULL,
	    ERR_MALFORMED },
	{ "arguments twice",
	    BODY("[{\"message\":{\"tool_calls\":[{\"function\":{\"arguments\":\"\","
		 "\"arguments\":\"\"}}]}}]"),
	    NULL, ERR_MALFORMED },
	{ "content that is a list", BODY("[{\"message\":{\"content\":[]}}]"), NULL, ERR_MALFORMED },
	{ "a choice that is no object", BODY("[1]"), NULL, ERR_MALFORMED },
	{ "an index that is a string", BODY("[{\"index\":\"0\"}]"), NULL, ERR_MALFORMED },
	{ "a stream cut before its final event", DELTA("a"), NULL, ERR_REFUSED },
	{ "a stream without [DONE]", FINAL("stop"), NULL, ERR_REFUSED },
	{ "a stream cut inside [DONE]", FINAL("stop") "data: [DONE]\n", NULL, ERR_REFUSED },
	{ "[DONE] without a final event", DELTA("a") DONE, NULL, ERR_REFUSED },
	{ "a stream that failed", DELTA("a") "data: {\"error\":{\"message\":\"x\"}}\n\n", NULL,
	    ERR_REFUSED },
	{ "two final events", FINAL("stop") FINAL("stop"), NULL, ERR_MALFORMED },
	{ "a delta after the final event", FINAL("stop") DELTA("a"), NULL, ERR_MALFORMED },
	{ "an event after [DONE]", FINAL("stop") DONE DONE, NULL, ERR_MALFORMED },
	{ "an event that is no JSON", "data: x\n\n", NULL, ERR_MALFORMED },
};

static void
answers_read(void **state)
{
	for (size_t r = 0; r < sizeof(answers) / sizeof(answers[0]); r++) {
		uint8_t got[KECCAK_LEN], want[KECCAK_LEN];
		struct legacy_fields f;
		struct err e = legacy_read(span_str(answers[r].response), &f, got);

		if (e.code != answers[r].code)
			fail_msg("%s: %s", answers[r].rule, e.what == NULL ? "accepted" : e.what);
		if (failed(e))
			continue;
		keccak_256(span_str(answers[r].delivered), want);
		if (!span_eq(span_of(got, KECCAK_LEN), span_of(want, KECCAK_LEN)))
			fail_msg("%s", answers[r].rule);
		assert_int_equal(f.timestamp_unix_s, 1747000000);
		assert_memory_equal(f.tee_id, "0x" H0, TEE_ID_LEN);
		assert_int_equal(f.request_hash[0], 0xc5);
		assert_false(f.has_signature);
	}
}

static void
signature_is_read(void **state)
{
	uint8_t delivered[KECCAK_LEN];
	struct legacy_fields f;

	assert_int_equal(
	    legacy_read(SPAN_LIT("{\"choices\":[]," SIG "," TEE "}"), &f, delivered).code, ERR_OK);
	assert_true(f.has_signature);
	assert_int_equal(f.signature_len, 3);
	assert_memory_equal(f.signature, "\x00\x01\x02", 3);
}

static struct span
read_file(const char *name, uint8_t *to, size_t max)
{
	char path[1024];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/receipt/%s", TEST_VECTORS, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(to, 1, max, f);
	fclose(f);
	assert_true(n < max);
	return span_of(to, n);
}

/* Whole answers as a client holds them: request hash, output hash, signature, tee_id. */
static void
worked_examples(void **state)
{
	static const char *const names[][2] = {
		{ "nonstream.request.json", "nonstream.response.json" },
		{ "stream.request.json", "stream.response.sse" },
	};
	static uint8_t bytes[16384];
	struct pss_pub *key;
	struct buf spki;
	char id[TEE_ID_LEN];

	buf_init(&spki, RSA_SPKI_MAX_BYTES);
	assert_int_equal(
	    pss_pub_from_pem(&key, read_file("signing-key.pem", bytes, sizeof(bytes)), &spki).code,
	    ERR_OK);
	legacy_tee_id(buf_span(&spki), id);
	for (size_t i = 0; i < 2; i++) {
		uint8_t delivered[KECCAK_LEN], hash[KECCAK_LEN], message[KECCAK_LEN];
		struct legacy_fields f;
		struct arena arena;
		struct json doc;
		struct buf text;

		assert_int_equal(
		    legacy_read(read_file(names[i][1], bytes, sizeof(bytes)), &f, delivered).code,
		    ERR_OK);
		assert_memory_equal(f.output_hash, delivered, KECCAK_LEN);
		assert_memory_equal(f.tee_id, id, TEE_ID_LEN);
		assert_true(f.has_signature);
		legacy_message(f.request_hash, f.output_hash, f.timestamp_unix_s, message);
		assert_int_equal(pss_verify(key, span_of(message, KECCAK_LEN),
				     span_of(f.signature, f.signature_len))
				     .code,
		    ERR_OK);

		arena_init(&arena, 1 << 20);
		buf_init(&text, 1 << 16);
		assert_int_equal(
		    json_parse(&doc, read_file(names[i][0], bytes, sizeof(bytes)), JSON_MAX_NODES)
			.code,
		    ERR_OK);
		assert_int_equal(canonical_put(&text, CANONICAL_CHAT, &doc, &arena).code, ERR_OK);
		keccak_256(buf_span(&text), hash);
		assert_memory_equal(f.request_hash, hash, KECCAK_LEN);
		json_fini(&doc);
		buf_fini(&text);
		arena_fini(&arena);
	}
	pss_pub_free(key);
	buf_fini(&spki);
}

static void
worked_refusals(void **state)
{
	static const struct {
		const char *name;
		enum err_code want;
	} rows[] = {
		{ "failed.response.sse", ERR_REFUSED },
		{ "neg-stream-cut.sse", ERR_REFUSED },
		{ "neg-stream-after.sse", ERR_MALFORMED },
	};
	static uint8_t bytes[16384];

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		uint8_t delivered[KECCAK_LEN];
		struct legacy_fields f;
		struct err e = legacy_read(
		    read_file(rows[r].name, bytes, sizeof(bytes)), &f, delivered);

		if (e.code != rows[r].want)
			fail_msg("%s: %s", rows[r].name, e.what == NULL ? "accepted" : e.what);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_responses),
		cmocka_unit_test(published_identity),
		cmocka_unit_test(published_heartbeats),
		cmocka_unit_test(text_in_pieces),
		cmocka_unit_test(tool_calls),
		cmocka_unit_test(tool_call_bounds),
		cmocka_unit_test(answers_read),
		cmocka_unit_test(signature_is_read),
		cmocka_unit_test(worked_examples),
		cmocka_unit_test(worked_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
