// Functions of glibc that gcc's C++ runtime needs and Android's bionic lacks. Compiled into a library for Android
// by a Linux cross-compiler; the NDK's own compiler needs none of it.
//
// The runtime's archives (libstdc++, libgcc_eh, libgcc) are linked into the library. `BIONIC` in build_android.py
// lists the symbols that the system provides; all others are here, hidden from other libraries.
#include <link.h>
#include <pthread.h>
#include <sys/auxv.h>

#include <cstdint>
#include <cstdlib>

namespace {

struct ExceptionGlobals {  // of the C++ ABI for Itanium, section 2.2.2
  void* caught;
  unsigned int uncaught;
};

pthread_key_t globals_key;

__attribute__((constructor(101))) void make_globals_key() {
  if (pthread_key_create(&globals_key, std::free) != 0) std::abort();
}

// The start of the answer to _dl_find_object; source: glibc's manual, "Dynamic Linker Introspection".
struct FoundObject {
  unsigned long long flags;
  void* map_start;
  void* map_end;
  void* link_map;
  void* unwind_table;
};

struct Search {
  uintptr_t address;
  FoundObject* found;
};

int look_into(dl_phdr_info* object, size_t, void* data) {
  const auto& search = *static_cast<Search*>(data);
  bool holds_address = false;
  void* table = nullptr;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    const uintptr_t start = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_GNU_EH_FRAME) table = reinterpret_cast<void*>(start);
    if (segment.p_type != PT_LOAD || search.address - start >= segment.p_memsz) continue;
    holds_address = true;
    search.found->map_start = reinterpret_cast<void*>(start);
    search.found->map_end = reinterpret_cast<void*>(start + segment.p_memsz);
  }
  if (!holds_address || table == nullptr) return 0;
  search.found->unwind_table = table;
  return 1;
}

}  // namespace

extern "C" {

// libstdc++ keeps these in thread-local storage, which a library cannot have before Android 10.
void* __cxa_get_globals_fast() { return pthread_getspecific(globals_key); }

void* __cxa_get_globals() {
  void* globals = pthread_getspecific(globals_key);
  if (globals == nullptr) {
    globals = std::calloc(1, sizeof(ExceptionGlobals));
    if (globals == nullptr || pthread_setspecific(globals_key, globals) != 0) std::abort();
  }
  return globals;
}

// Where the unwinder finds the table of the function at `address`: 0, or -1 if no library holds it. The name in C
// is another because a newer glibc's header declares it.
int find_object(void* address, FoundObject* found) __asm__("_dl_find_object");
int find_object(void* address, FoundObject* found) {
  Search search = {reinterpret_cast<uintptr_t>(address), found};
  *found = {};
  return dl_iterate_phdr(look_into, &search) == 1 ? 0 : -1;
}

int __pthread_key_create(pthread_key_t* key, void (*destroy)(void*)) { return pthread_key_create(key, destroy); }

unsigned long __getauxval(unsigned long type) { return getauxval(type); }

// That there may be several threads is right in any case.
char __libc_single_threaded = 0;

char* gettext(const char* message) { return const_cast<char*>(message); }

}  // extern "C"
