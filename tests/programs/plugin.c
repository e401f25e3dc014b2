// plugin: loads libm when it is already running and calls into it.
#include <dlfcn.h>
#include <stdio.h>

int main(void) {
  void* library = dlopen("libm.so.6", RTLD_NOW);
  if (!library) return 3;
  double (*cube_root)(double) = (double (*)(double))dlsym(library, "cbrt");
  printf("%.1f %.1f\n", cube_root(27), cube_root(64));
  return dlclose(library);
}
