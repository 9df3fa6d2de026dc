/*
 * verify.h - the commands of tee-verify, one file each (verify_NAME.c). They print their report and
 * return the exit status (cmd/report.h).
 */
#ifndef CMD_VERIFY_H
#define CMD_VERIFY_H

#include "cmd/verify_options.h"

int verify_attestation(const struct options *o);
int verify_identity(const struct options *o);
int verify_response(const struct options *o);
int verify_registration(const struct options *o);
int verify_receipt(const struct options *o);
int verify_image(const struct options *o);

#endif
