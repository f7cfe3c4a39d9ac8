// What cuFFT does while it loads and stores: cast in, gain in between, noise, clamp, normalisation and cast out, without
// passes of their own.
//
// The text of bandpass.cu stands before this one; nothing is included. A callback is compiled alone, for one image size,
// since cuFFT links the load and the store callback of a plan into one kernel, where every name may be defined once:
//
//   FASTRACE_PIXEL    the load callback of the forward transform, for that type of pixel
//   FASTRACE_GAINS    the load callback of the inverse transform, for SHARED gains or for gains of EACH image; for
//                     FASTRACE_FILTERS of each image in a sweep
//   FASTRACE_RESULT   the store callback of the inverse transform, for that type of result and FASTRACE_NOISE
//   FASTRACE_BEGIN    the kernels that put the constants of a call in place
//   FASTRACE_PASSES   the callbacks as kernels: the passes of their own, for where cuFFT takes no callbacks
//
// cuFFT keeps the address of a callback's constants from the making of the plan on, so they lie in a buffer of the plan
// that `bandpass_begin` fills on the stream before each transform. Words and numbers are those of kernels/noise. Denormal
// numbers are flushed to zero by CuPy's options: no step here depends on one.

namespace fastrace {

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum Type { U8 = 0, U16 = 1, F16 = 2, BF16 = 3, F32 = 4 };
enum Gains { SHARED = 0, EACH = 1 };
enum Kind { CLEAN = -1, GAUSS = 0, POISSON = 1, SPECKLE = 2, SALT_PEPPER = 3 };

// The constants of one call, laid out as callbacks.CALL in Python.
struct Call {
  Filter filter;
  double scale;         // 1 / (H W)
  float* table;         // [H, W / 2 + 1] gain * scale, where all images share the filter
  const void* each;     // [N, 2] int64 edges of the images, else; of the filters of a sweep [K, 2]
  const void* spectra;  // [N, H, W / 2 + 1] of a sweep, K filters for each; cuFFT overwrites what it was given as input
  void* result;         // [N, H, W]; not the address cuFFT was given where results are narrower than its own
  const long long* ids; // [N]
  u64 seed;
  float full_scale;     // stored integers are divided by it
  float amount, inverse;
  float lowest, highest;
  float mean, per_std;  // of the network's normalisation; 0 and 1 without one
  u32 threshold, stream;
  int height, width;
};

#if defined(FASTRACE_CALL_BYTES)
static_assert(sizeof(Call) == FASTRACE_CALL_BYTES, "callbacks.CALL has another layout");
#endif

// ---- numbers as bits ------------------------------------------------------------------------------------------------

FASTRACE_BOTH u32 bits_of(float value) {
  u32 bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

FASTRACE_BOTH float of_bits(u32 bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

FASTRACE_BOTH float from_half(u16 half) {
  const u32 magnitude = half & 0x7FFFu, sign = (half & 0x8000u) << 16;
  if (magnitude < 0x400u) {  // through an integer: as bits of a float it would be denormal
    return of_bits(bits_of(static_cast<float>(magnitude) * 5.9604644775390625e-8f) | sign);
  }
  return of_bits(((magnitude << 13) + (magnitude >= 0x7C00u ? 224u << 23 : 112u << 23)) | sign);
}

FASTRACE_BOTH u16 to_half(float value) {
  const u32 sign = (bits_of(value) >> 16) & 0x8000u, magnitude = bits_of(value) & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<u16>(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return static_cast<u16>(sign | 0x7C00u);  // 65520 and above round to infinity
  // Below 2^-14 the last place is 2^-24, that of numbers from 1/2 on: the addition rounds.
  if (magnitude < 0x38800000u) return static_cast<u16>(sign | (bits_of(of_bits(magnitude) + 0.5f) - 0x3F000000u));
  return static_cast<u16>(sign | ((magnitude - (112u << 23) + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13));
}

FASTRACE_BOTH u16 to_bfloat(float value) {
  const u32 bits = bits_of(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<u16>((bits >> 16) | 0x40u);
  return static_cast<u16>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

template <int TYPE>
FASTRACE_BOTH float loaded(const void* pixels, u64 at, float full_scale) {
  if (TYPE == U8) return static_cast<float>(static_cast<const u8*>(pixels)[at]) / full_scale;
  if (TYPE == U16) return static_cast<float>(static_cast<const u16*>(pixels)[at]) / full_scale;
  if (TYPE == F16) return from_half(static_cast<const u16*>(pixels)[at]);
  return static_cast<const float*>(pixels)[at];
}

template <int TYPE>
FASTRACE_BOTH void stored(void* result, u64 at, float value) {
  if (TYPE == F16) static_cast<u16*>(result)[at] = to_half(value);
  if (TYPE == BF16) static_cast<u16*>(result)[at] = to_bfloat(value);
  if (TYPE == F32) static_cast<float*>(result)[at] = value;
}

// ---- noise: kernels/noise/cpu.py, one pixel at a time -----------------------------------------------------------------

FASTRACE_BOTH void philox(u32 word[4], u32 k0, u32 k1) {
  for (int round = 0; round < 10; ++round) {
    const u64 left = 0xD2511F53ull * word[0], right = 0xCD9E8D57ull * word[2];
    word[0] = static_cast<u32>(right >> 32) ^ word[1] ^ k0;
    word[1] = static_cast<u32>(right);
    word[2] = static_cast<u32>(left >> 32) ^ word[3] ^ k1;
    word[3] = static_cast<u32>(left);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

FASTRACE_BOTH float ln(float x) {
  const int bits = static_cast<int>(bits_of(x)), exponent = (bits - 0x3F3504F3) >> 23;
  const float f = of_bits(static_cast<u32>(bits) - (static_cast<u32>(exponent) << 23)) - 1.0f;
  const float e = static_cast<float>(exponent), square = f * f;
  const float p = ((((((-0.07634500414133072f * f + 0.127615824341774f) * f + -0.13160182535648346f) * f +
                      0.14201757311820984f) * f + -0.16623356938362122f) * f + 0.20001226663589478f) * f +
                   -0.2500081956386566f) * f + 0.3333333134651184f;
  return e * 0.693359375f + (f + (square * f * p + (e * static_cast<float>(-0.00021219444005471377) - 0.5f * square)));
}

// One of the two normals of a pair of words.
FASTRACE_BOTH float normal(u32 word0, u32 word1, bool second) {
  const float radius = sqrtf(-2.0f * ln(static_cast<float>(word0) * 2.3283064365386963e-10f + 1.1641532182693481e-10f));
  const u32 quarter = (word1 + 0x20000000u) >> 30;
  const float t = static_cast<float>(static_cast<int>(word1 - (quarter << 30))) * static_cast<float>(1.4629180792671596e-9);
  const float square = t * t;
  const float sine =
      t + t * square * ((-0.00019517297914717346f * square + 0.008332177996635437f) * square + -0.16666655242443085f);
  const float cosine =
      1.0f - 0.5f * square +
      square * square * ((2.4438451873720624e-05f * square + -0.001388736767694354f) * square + 0.04166664555668831f);
  const bool swap = (quarter & 1u) != 0;
  const float a = swap ? sine : cosine, b = swap ? cosine : sine;
  if (second) return radius * ((quarter & 2u) != 0 ? -b : b);
  return radius * (((quarter + 1u) & 2u) != 0 ? -a : a);
}

FASTRACE_BOTH float normal_quantile(float u) {
  const float x = 2.0f * u - 1.0f, w = -ln((1.0f - x) * (1.0f + x));
  const float s = w - 2.5f, t = sqrtf(w) - 3.0f;
  const float central =
      ((((((4.4658685283138766e-07f * s + -4.505606284510577e-06f) * s + -5.7922370615415275e-06f) * s +
          0.00030736016924493015f) * s + -0.0017743106000125408f) * s + -0.005906122736632824f) * s +
       0.34880363941192627f) * s + 2.1233131885528564f;
  const float tail = ((((((-0.00011041688412660733f * t + 0.0015398487448692322f) * t + -0.0049186525866389275f) * t +
                        0.008282043971121311f) * t + -0.0108640156686306f) * t + 0.013321930542588234f) * t +
                      1.4165871143341064f) * t + 4.006434917449951f;
  return x * (w < 5.0f ? central : tail);
}

FASTRACE_BOTH float exp_negative(float x) {
  const float n = floorf(0.5f - x * static_cast<float>(1.4426950408889634));
  const float r = (-x - n * 0.693359375f) - n * static_cast<float>(-0.00021219444005471377);
  const float p = (((0.001381461275741458f * r + 0.008368710055947304f) * r + 0.04166838899254799f) * r +
                   0.1666652113199234f) * r + 0.4999999403953552f;
  return (1.0f + (r + r * r * p)) * of_bits(static_cast<u32>(static_cast<int>(n) + 127) << 23);
}

FASTRACE_BOTH float poisson_count(u32 word, float mean) {
  const float u = (static_cast<float>(word >> 9) + 0.5f) * 1.1920928955078125e-07f;
  if (!(mean < 10.0f)) {
    const float z = normal_quantile(u), root = sqrtf(mean), square = z * z;
    const float first = root * z + (static_cast<float>(1.0 / 3) + square * static_cast<float>(1.0 / 6));
    const float second = z * (static_cast<float>(-1.0 / 36) - square * static_cast<float>(1.0 / 72)) / root;
    const float third = (static_cast<float>(-8.0 / 405) +
                         square * (static_cast<float>(7.0 / 810) + square * static_cast<float>(1.0 / 270))) / mean;
    return fmaxf(floorf(mean + (first + (second + third))), 0.0f);
  }
  float p = exp_negative(fmaxf(mean, 0.0f)), rest = u - p, count = 0.0f;
  // Once the terms are negligible, what is left of u is rounding error and must not become photons.
  for (int k = 1; k <= 32 && rest > 0.0f && (p >= 1.4901161193847656e-08f || count < mean); ++k) {
    p *= mean * (1.0f / static_cast<float>(k));
    rest -= p;
    count += 1.0f;
  }
  return count;
}

template <int KIND>
FASTRACE_BOTH float noisy(float x, u32 image, u32 pixel, const Call& call) {
  if (KIND == CLEAN) return x;
  const u64 id = static_cast<u64>(call.ids[image]);
  u32 word[4] = {pixel >> 2, static_cast<u32>(id), static_cast<u32>(id >> 32), call.stream};
  philox(word, static_cast<u32>(call.seed), static_cast<u32>(call.seed >> 32));
  if (KIND == GAUSS || KIND == SPECKLE) {
    // Selected, not indexed: an array indexed at run time would lie in local memory.
    const bool upper = (pixel & 2u) != 0;
    const float z = normal(upper ? word[2] : word[0], upper ? word[3] : word[1], (pixel & 1u) != 0);
    return KIND == GAUSS ? x + call.amount * z : x * (1.0f + call.amount * z);
  }
  const u32 low = (pixel & 1u) != 0 ? word[1] : word[0], high = (pixel & 1u) != 0 ? word[3] : word[2];
  const u32 own = (pixel & 2u) != 0 ? high : low;
  if (KIND == POISSON) return x < of_bits(0x7F800000u) ? poisson_count(own, x * call.amount) * call.inverse : x;
  return (own >> 1) < call.threshold && x == x ? static_cast<float>(own & 1u) : x;
}

}  // namespace fastrace

#if defined(__CUDACC__)

namespace fastrace {

// gain / (H W) of a coefficient; `own` is the number of the image, or in a sweep of the filter.
template <int GAINS>
__device__ __forceinline__ float factor_of(u32 own, u32 place, u32 height, u32 width, const Call& call) {
  if (GAINS == SHARED) return call.table[place];
  const u32 columns = width / 2 + 1;
  const long long q = scaled_square(place / columns, place % columns, height, width);
  Filter filter = call.filter;
  filter.low_edge = static_cast<const long long*>(call.each)[2 * own];
  filter.high_edge = static_cast<const long long*>(call.each)[2 * own + 1];
  return static_cast<float>(gain(q, filter) * call.scale);
}

// In a sweep, image n K + k is filter k of spectrum n of those that all filters read; else `filters` is 1.
template <int GAINS>
__device__ __forceinline__ float2 passed(const float2* spectrum, u64 at, u32 height, u32 width, u32 filters,
                                         const Call& call) {
  // 32 bits: a plan has less than 2^31 elements, and a 64-bit division costs tens of instructions.
  const u32 coefficients = height * (width / 2 + 1), offset = static_cast<u32>(at);
  const u32 image = offset / coefficients, place = offset % coefficients;
  const float factor = factor_of<GAINS>(filters > 1 ? image % filters : image, place, height, width, call);
  if (filters > 1) {
    spectrum = static_cast<const float2*>(call.spectra);
    at = image / filters * coefficients + place;
  }
  float2 value;
  value.x = value.y = 0.0f;
  // What is rejected is not even read, but for the mean: an image with a NaN has one there, and 0 times it stays NaN.
  if (factor != 0.0f || place == 0) {
    value = spectrum[at];
    value.x *= factor;
    value.y *= factor;
  }
  return value;
}

template <int TYPE, int KIND>
__device__ __forceinline__ void finished(u64 at, float value, u32 height, u32 width, const Call& call) {
  const u32 pixels = height * width, offset = static_cast<u32>(at);
  value = noisy<KIND>(value, offset / pixels, offset % pixels, call);
  // Written so that NaN passes.
  value = value < call.lowest ? call.lowest : value;
  value = value > call.highest ? call.highest : value;
  value = (value - call.mean) * call.per_std;
  stored<TYPE>(call.result, at, value);
}

}  // namespace fastrace

#if defined(FASTRACE_PIXEL)
__device__ float fastrace_load(void* pixels, unsigned long long at, void* call, void*) {
  return fastrace::loaded<FASTRACE_PIXEL>(pixels, at, static_cast<const fastrace::Call*>(call)->full_scale);
}
#endif

#if defined(FASTRACE_GAINS)
__device__ float2 fastrace_gain(void* spectrum, unsigned long long at, void* call, void*) {
  return fastrace::passed<FASTRACE_GAINS>(static_cast<const float2*>(spectrum), at, FASTRACE_HEIGHT, FASTRACE_WIDTH,
                                          FASTRACE_FILTERS, *static_cast<const fastrace::Call*>(call));
}
#endif

#if defined(FASTRACE_RESULT)
__device__ void fastrace_store(void*, unsigned long long at, float value, void* call, void*) {
  fastrace::finished<FASTRACE_RESULT, FASTRACE_NOISE>(at, value, FASTRACE_HEIGHT, FASTRACE_WIDTH,
                                                      *static_cast<const fastrace::Call*>(call));
}
#endif

#if defined(FASTRACE_BEGIN)

// Put the constants of the call where the callbacks find them, and fill the table. The constants are an argument: a CUDA
// graph keeps them by value, and what was launched before on the stream still reads the old ones.
extern "C" __global__ void bandpass_begin(fastrace::Call* at, fastrace::Call call) {
  const fastrace::u32 place = blockIdx.x * blockDim.x + threadIdx.x, columns = call.width / 2 + 1;
  if (place == 0) *at = call;
  if (call.table == nullptr || place >= call.height * columns) return;
  const long long q = fastrace::scaled_square(place / columns, place % columns, call.height, call.width);
  call.table[place] = static_cast<float>(fastrace::gain(q, call.filter) * call.scale);
}

// Cut-offs of some images, likewise by value.
struct Cutoffs {
  long long words[FASTRACE_CUTOFFS];
};
extern "C" __global__ void bandpass_cutoffs(long long* each, int count, Cutoffs cutoffs) {
  const int i = threadIdx.x;
  if (i < count) each[i] = cutoffs.words[i];
}

#endif

#if defined(FASTRACE_PASSES)

#define FASTRACE_ELEMENT                                                                                       \
  const fastrace::u64 at = static_cast<fastrace::u64>(blockIdx.x) * blockDim.x + threadIdx.x;                  \
  if (at >= static_cast<fastrace::u64>(count)) return

#define FASTRACE_LOAD_KERNEL(NAME, TYPE)                                                                       \
  extern "C" __global__ void NAME(const void* pixels, float* out, long long count, const fastrace::Call* call) { \
    FASTRACE_ELEMENT;                                                                                          \
    out[at] = fastrace::loaded<fastrace::TYPE>(pixels, at, call->full_scale);                                  \
  }
FASTRACE_LOAD_KERNEL(bandpass_load_uint8, U8)
FASTRACE_LOAD_KERNEL(bandpass_load_uint16, U16)
FASTRACE_LOAD_KERNEL(bandpass_load_float16, F16)
FASTRACE_LOAD_KERNEL(bandpass_load_float32, F32)

#define FASTRACE_GAIN_KERNEL(NAME, GAINS)                                                                      \
  extern "C" __global__ void NAME(float2* spectrum, long long count, fastrace::u32 filters,                    \
                                  const fastrace::Call* call) {                                                \
    FASTRACE_ELEMENT;                                                                                          \
    spectrum[at] =                                                                                             \
        fastrace::passed<fastrace::GAINS>(spectrum, at, call->height, call->width, filters, *call);            \
  }
FASTRACE_GAIN_KERNEL(bandpass_gain_shared, SHARED)
FASTRACE_GAIN_KERNEL(bandpass_gain_each, EACH)

#define FASTRACE_STORE_KERNEL(NAME, TYPE, KIND)                                                                \
  extern "C" __global__ void NAME(const float* values, long long count, const fastrace::Call* call) {          \
    FASTRACE_ELEMENT;                                                                                          \
    fastrace::finished<fastrace::TYPE, fastrace::KIND>(at, values[at], call->height, call->width, *call);      \
  }
#define FASTRACE_STORE_KERNELS(NAME, TYPE)                            \
  FASTRACE_STORE_KERNEL(bandpass_store_##NAME##_clean, TYPE, CLEAN)   \
  FASTRACE_STORE_KERNEL(bandpass_store_##NAME##_gaussian, TYPE, GAUSS) \
  FASTRACE_STORE_KERNEL(bandpass_store_##NAME##_poisson, TYPE, POISSON) \
  FASTRACE_STORE_KERNEL(bandpass_store_##NAME##_speckle, TYPE, SPECKLE) \
  FASTRACE_STORE_KERNEL(bandpass_store_##NAME##_salt_pepper, TYPE, SALT_PEPPER)
FASTRACE_STORE_KERNELS(float16, F16)
FASTRACE_STORE_KERNELS(bfloat16, BF16)
FASTRACE_STORE_KERNELS(float32, F32)

#endif
#endif
