/* From fail_at on, the n-th change of a file below a folder fails in this process, as on a full or a failing disk.
 *
 * A change: a file or folder made, bytes written, fsync, rename. Every loaded library's pointers to libc's functions are
 * set to those below (what LD_PRELOAD does at start, in a process that runs already), so that the writers of torch,
 * safetensors and libsndfile meet the fault as Python does. For 64-bit Linux; use it in a forked process. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static size_t folder_length;
static long nth, seen;
static int number, lasting, begun, trace;

static const char *whole(int directory, const char *path, char *buffer) {
    char link[64];
    ssize_t length;
    if (path && path[0] == '/') return path;
    if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    if ((length = readlink(link, buffer, PATH_MAX - 1)) < 0) return NULL;
    buffer[length] = 0;
    if (path && *path) snprintf(buffer + length, (size_t)(PATH_MAX - length), "/%s", path);
    return buffer;
}

static int fails(const char *what, int directory, const char *path) {
    char buffer[PATH_MAX], line[PATH_MAX + 32];
    long count;
    path = whole(directory, path, buffer);
    if (!path || strncmp(path, folder, folder_length) || path[folder_length] != '/') return 0;
    count = __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
    snprintf(line, sizeof line, "%s %s\n", what, path + folder_length + 1);
    if (write(trace, line, strlen(line)) < 0 || !nth || count < nth || (!lasting && count > nth)) return 0;
    errno = number;
    return 1;
}

/* A failing write first writes half, as on a disk that fills up; it is the next change that fails. */
static ssize_t half(int descriptor, const void *data, size_t size, off_t *offset) {
    if (begun || size < 2) return -1;
    begun = 1, nth = seen + 1;
    return offset ? pwrite(descriptor, data, size / 2, *offset) : write(descriptor, data, size / 2);
}

static ssize_t our_write(int to, const void *data, size_t size) {
    return fails("write", to, NULL) ? half(to, data, size, NULL) : write(to, data, size);
}
static ssize_t our_pwrite(int to, const void *data, size_t size, off_t offset) {
    return fails("write", to, NULL) ? half(to, data, size, &offset) : pwrite(to, data, size, offset);
}
static ssize_t our_writev(int to, const struct iovec *parts, int count) {
    return fails("write", to, NULL) ? -1 : writev(to, parts, count);
}
static ssize_t our_sendfile(int to, int from, off_t *offset, size_t size) {
    return fails("write", to, NULL) ? -1 : sendfile(to, from, offset, size);
}
static ssize_t our_copy_file_range(int from, off_t *start, int to, off_t *offset, size_t size, unsigned flags) {
    return fails("write", to, NULL) ? -1 : copy_file_range(from, start, to, offset, size, flags);
}
static int our_fsync(int descriptor) { return fails("fsync", descriptor, NULL) ? -1 : fsync(descriptor); }
static int our_mkdir(const char *path, mode_t mode) {
    return access(path, F_OK) && fails("mkdir", AT_FDCWD, path) ? -1 : mkdir(path, mode);
}
static int our_rename(const char *from, const char *to) {
    return fails("rename", AT_FDCWD, to) ? -1 : rename(from, to);
}
static int our_openat(int directory, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (flags & O_CREAT && faccessat(directory, path, F_OK, 0) && fails("create", directory, path)) return -1;
    return openat(directory, path, flags, mode);
}
static int our_open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return our_openat(AT_FDCWD, path, flags, mode);
}

static const struct { const char *name; void *ours; } FUNCTIONS[] = {
    {"write", our_write}, {"pwrite", our_pwrite}, {"pwrite64", our_pwrite}, {"writev", our_writev},
    {"sendfile", our_sendfile}, {"sendfile64", our_sendfile}, {"copy_file_range", our_copy_file_range},
    {"fsync", our_fsync}, {"fdatasync", our_fsync}, {"mkdir", our_mkdir}, {"rename", our_rename},
    {"open", our_open}, {"open64", our_open}, {"openat", our_openat}, {"openat64", our_openat},
};

static void replace(void **place, const char *name) {
    for (size_t one = 0; one < sizeof FUNCTIONS / sizeof *FUNCTIONS; one++)
        if (!strcmp(name, FUNCTIONS[one].name)) {
            size_t page = (size_t)sysconf(_SC_PAGESIZE);
            mprotect((void *)((size_t)place & -page), page, PROT_READ | PROT_WRITE);
            *place = FUNCTIONS[one].ours;
        }
}

/* The addresses that the linker has filled in for an object's undefined symbols: its tables are in its dynamic section. */
static int take_over(struct dl_phdr_info *object, size_t size, void *unused) {
    const ElfW(Dyn) *entry = NULL;
    size_t base = object->dlpi_addr, symbols = 0, names = 0, tables[2] = {0}, sizes[2] = {0};
    (void)size, (void)unused;
    if (strstr(object->dlpi_name, "failing_writes") || strstr(object->dlpi_name, "libc.so") ||
        strstr(object->dlpi_name, "ld-linux") || strstr(object->dlpi_name, "vdso"))
        return 0;
    for (int one = 0; one < object->dlpi_phnum; one++)
        if (object->dlpi_phdr[one].p_type == PT_DYNAMIC) entry = (void *)(base + object->dlpi_phdr[one].p_vaddr);
    for (; entry && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB) symbols = entry->d_un.d_ptr;
        if (entry->d_tag == DT_STRTAB) names = entry->d_un.d_ptr;
        if (entry->d_tag == DT_JMPREL) tables[0] = entry->d_un.d_ptr;
        if (entry->d_tag == DT_PLTRELSZ) sizes[0] = entry->d_un.d_val;
        if (entry->d_tag == DT_RELA) tables[1] = entry->d_un.d_ptr;
        if (entry->d_tag == DT_RELASZ) sizes[1] = entry->d_un.d_val;
    }
    for (int table = 0; table < 2; table++)
        for (size_t at = 0; at + sizeof(ElfW(Rela)) <= sizes[table]; at += sizeof(ElfW(Rela))) {
            const ElfW(Rela) *one = (void *)(tables[table] + at);
            const ElfW(Sym) *symbol = (const ElfW(Sym) *)symbols + ELF64_R_SYM(one->r_info);
            if (ELF64_R_SYM(one->r_info) && symbol->st_shndx == SHN_UNDEF)
                replace((void **)(base + one->r_offset), (const char *)names + symbol->st_name);
        }
    return 0;
}

/* Change ``at`` below ``below`` (from 1; 0: none) fails with errno ``code``, and where ``stays`` all after it, too. Each
 * is a line, its kind and its path, of the descriptor ``trace_to``. */
void fail_at(const char *below, long at, int code, int stays, int trace_to) {
    folder_length = strlen(strncpy(folder, below, sizeof folder - 1));
    nth = at, number = code, lasting = stays, trace = trace_to;
    dl_iterate_phdr(take_over, NULL);
}
