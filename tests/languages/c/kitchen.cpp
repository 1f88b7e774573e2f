// The part of the template in C++, whose symbol names are mangled.

#include "template.h"

namespace kitchen {

struct Oven {
    int loaves;
    __attribute__((noinline)) int bake(int portions, bool) const {
        return loaves / portions; // division in C++
    }
};

} // namespace kitchen

extern "C" int bake_in_cpp(int loaves) {
    kitchen::Oven oven{loaves};
    return oven.bake(loaves, true);
}
