/*
 * image.h - models that answer in pictures by POST /images/generations: a chat request as a prompt,
 * the pictures as a message. Pure. Source: providers.md 7, 8, 11; interfaces.md C9.
 *
 * The prompt is the text of the last user message, behind the instructions of system messages;
 * earlier turns have no place there. Pictures come in the answer (b64_json): an address would have
 * to be fetched from somebody whom no receipt names.
 */
#ifndef PROVIDER_IMAGE_H
#define PROVIDER_IMAGE_H

#include "provider/provider.h"

extern const struct provider provider_xai_images, provider_ark_images;

/* `modalities` of any model that makes pictures: image, text or both. False: *no says so. */
bool image_modalities_fit(const struct request *rq, struct refusal *no);

#endif
