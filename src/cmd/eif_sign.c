/*
 * eif_sign.c - tee-eif sign: the image it was given, with a signature section at its end.
 */
#include "cmd/eif.h"
#include "core/limits.h"
#include "eif/signature.h"

enum { SIGNATURE_MIN_VERSION = 3 };

/* The whole of a small file; false after having said why not. */
static bool
read_small(const char *path, struct buf *out)
{
	struct eif_file f;
	struct err e = eif_file_open(&f, path);

	if (!failed(e))
		e = eif_file_read(&f, out);
	if (failed(e))
		eif_bad_errno(path, e, f.error);
	eif_file_close(&f);
	return !failed(e);
}

/* Every section but a signature, in its order; then the new signature (eif.md 4). */
static int
write_signed(const char *path, struct eif_image *image, struct span signature)
{
	struct eif_piece piece[EIF_MAX_SECTIONS + 1];
	size_t n = 0;

	for (size_t i = 0; i < image->img.n; i++) {
		const struct eif_section *s = &image->img.section[i];

		if (s->type != EIF_SIGNATURE)
			piece[n++] = (struct eif_piece){ s->type, s->size, SPAN_NONE,
				&image->file.source, s->at };
	}
	piece[n++] = (struct eif_piece){ EIF_SIGNATURE, signature.n, signature, NULL, 0 };
	return eif_write_image(path, image->img.head, piece, n);
}

static int
sign(struct eif_image *image, const struct eif_options *o, struct span key_pem, struct span cert)
{
	int status = EIF_EXIT_BAD;
	struct ecdsa_key *key;
	struct buf section;
	struct err e;

	if (image->img.version < SIGNATURE_MIN_VERSION)
		return eif_bad(o->image,
		    FAIL(REFUSED, "eif.md 1.1: an image of version 2 has no signature section"));
	if (failed(e = ecdsa_key_from_pem(&key, key_pem)))
		return eif_bad(o->value[EIF_OPTION_KEY], e);
	buf_init(&section, EIF_SIGNATURE_MAX_BYTES);
	if (failed(e = eif_signature_make(&section, key, cert, image->img.pcr[0])))
		eif_bad(o->value[EIF_OPTION_CERT], e);
	else
		status = write_signed(o->value[EIF_OPTION_OUT], image, buf_span(&section));
	buf_fini(&section);
	ecdsa_key_free(key);
	return status;
}

int
eif_run_sign(const struct eif_options *o)
{
	struct eif_image image;
	struct buf key, cert;
	int status = EIF_EXIT_BAD;

	buf_init(&key, ECDSA_CERT_MAX_BYTES); /* wiped when freed */
	buf_init(&cert, EIF_SIGNATURE_MAX_BYTES);
	if (eif_image_open(&image, o->image) && read_small(o->value[EIF_OPTION_KEY], &key) &&
	    read_small(o->value[EIF_OPTION_CERT], &cert))
		status = sign(&image, o, buf_span(&key), buf_span(&cert));
	eif_image_close(&image);
	buf_fini(&cert);
	buf_fini(&key);
	return status;
}
