// What headers of GCC 11 and newer call, for devices whose libstdc++ is older: a wheel's library loads there too.
#include <new>

#if defined(__GLIBCXX__) && !defined(EDGEVID_BIONIC)  // the library for Android has a libstdc++ of its own
namespace std {

[[noreturn]] __attribute__((visibility("hidden"))) void __throw_bad_array_new_length() { throw bad_alloc(); }

}  // namespace std
#endif
