/*
 * sanitized.h - whether this build has a sanitizer's runtime in it, which needs rights of its own:
 * LeakSanitizer stops the process as a debugger would, and reads its maps.
 */
#ifndef SYS_SANITIZED_H
#define SYS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
