/*
 * libkind: brightens dark pictures. The C interface, for programs in any language.
 *
 *     kind_model* model = NULL;
 *     if (kind_open(NULL, &model) != KIND_OK) { fprintf(stderr, "%s\n", kind_last_error()); exit(2); }
 *     kind_picture picture = {pixels, 3 * width, width, height, 3, KIND_8_BITS};
 *     if (kind_enhance(model, &picture, &picture, NULL, NULL) != KIND_OK) ...
 *     kind_free(model);
 *
 * Nothing is printed, no exception and no signal leaves the library, and it never ends the program. All functions may
 * be called from several threads at once, with the same model, too. Results have the same bits for any number of
 * threads, and those of kind-infer.
 *
 * The threads of one pool share the work with the calling threads. They sleep while idle, block all signals, and end
 * when the program ends or the library is unloaded. After fork() the child starts its own threads.
 */
#ifndef KIND_H
#define KIND_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define KIND_API __attribute__((visibility("default")))
#else
#define KIND_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* NOLINTBEGIN(modernize-use-using): C has typedef alone */

/** Return values of functions. kind_last_error() gives the message. */
enum {
  KIND_OK = 0,
  KIND_INVALID = 1,   /**< An argument is one that cannot be. */
  KIND_FAILED = 2,    /**< Anything else: no such file, no model, more memory needed than max_memory. */
  KIND_NO_MEMORY = 3, /**< The system has no memory left. */
  KIND_STOPPED = 4    /**< `progress` asked for it. */
};

/** The version of the library, such as "0.1.0". */
KIND_API const char* kind_version(void);

/**
 * The one-line message of this thread's last call that returned anything but KIND_OK; "" before that. The text is valid
 * until this thread's next failing call.
 */
KIND_API const char* kind_last_error(void);

/** The nets, with their weights. A model is immutable. */
typedef struct kind_model kind_model;

/**
 * Reads a model file (of training, or the shipped one) and puts it into *model, which is NULL after an error.
 * path NULL: $KIND_MODEL, else the shipped model, relative to the library (share/kind/kind.safetensors below the same
 * prefix).
 */
KIND_API int kind_open(const char* path, kind_model** model);

/** Releases a model that no call is using. NULL is ignored. */
KIND_API void kind_free(kind_model* model);

/** The samples of a picture. */
enum {
  KIND_8_BITS = 8,   /**< uint8_t, 0 to 255. */
  KIND_16_BITS = 16, /**< uint16_t in the machine's byte order, 0 to 65535. */
  KIND_FLOATS = 32   /**< float, 0 to 1; what lies beyond is taken as 0 or 1, NaN is refused. In 65535 steps. */
};

/**
 * A picture in the caller's memory: rows from the top, pixels from the left, channels interleaved: 1 gray, 2 gray and
 * alpha, 3 red, green, blue, 4 red, green, blue and alpha (not premultiplied). Values are sRGB-encoded, as in files.
 * The layout of this struct does not change.
 */
typedef struct kind_picture {
  void* pixels;        /**< The first row, at any address. */
  ptrdiff_t row_bytes; /**< From one row to the next; at least what a row takes, or at most minus that (upside down). */
  int32_t width;       /**< 1 to 65535. */
  int32_t height;      /**< 1 to 65535. */
  int32_t channels;    /**< 1 to 4. */
  int32_t samples;     /**< KIND_8_BITS, KIND_16_BITS or KIND_FLOATS. */
} kind_picture;

/** The light level of the result. */
enum {
  KIND_LIGHT_AUTO = 0,       /**< Chosen from the picture; light_value: so many stops brighter than that, or darker
                                  where negative, -10 to 10, usually 0. */
  KIND_LIGHT_RATIO = 1,      /**< light_value: about how many times brighter than the picture
                                  stretched to full range, above 0 and at most 100. */
  KIND_LIGHT_TARGET_MEAN = 2 /**< light_value: mean of the result's red, green and blue, 0 to 1. */
};

/** How the parts are combined. */
enum {
  KIND_FUSION_NONE = 0,     /**< Restored reflectance times adjusted illumination. */
  KIND_FUSION_OFFICIAL = 1, /**< As in the authors' program for photographs. */
  KIND_FUSION_AUTO = 2      /**< Dark parts become that product, bright ones stay unchanged. */
};

/**
 * Options. Begin with `kind_options options = KIND_OPTIONS;`: later versions of the library may add fields at the end,
 * and tell by `size` which of them the program knows.
 */
typedef struct kind_options {
  size_t size;         /**< sizeof(kind_options). */
  int32_t light;       /**< KIND_LIGHT_AUTO (default), ... */
  int32_t fusion;      /**< KIND_FUSION_AUTO (default), ... */
  double light_value;  /**< See `light`. */
  double strength;     /**< Strength of the enhancement, 0 to 1 (default). */
  double denoise;      /**< Strength of the restoration, 0 to 1 (default). */
  uint64_t max_memory; /**< Bytes that this call may take; larger pictures go through in bands of rows, with the same
                            bits, or are refused. 0 (default): four fifths of what the machine has available. */
  int32_t threads;     /**< Threads of this call, 1 to 1024; 0 (default): $OMP_NUM_THREADS, else all processors
                            that affinity and control groups leave the process. */
  int32_t reserved;    /**< 0. */
  /**
   * NULL (default), or a function that is called regularly on the calling thread with the completed share of the work,
   * 0 to 1. Any return value except 0 cancels the work, with KIND_STOPPED. It must not exit by longjmp or an exception.
   */
  int (*progress)(double done, void* user);
  void* user; /**< For progress. */
} kind_options;

/** The defaults of all fields. */
#define KIND_OPTIONS \
  { sizeof(kind_options), KIND_LIGHT_AUTO, KIND_FUSION_AUTO, 0, 1, 1, 0, 0, 0, NULL, NULL }

/** The chosen light. The layout of this struct does not change. */
typedef struct kind_result {
  double ratio;    /**< The ratio used, as light_value of KIND_LIGHT_RATIO. */
  double strength; /**< Strength of the automatic light: 1, less for bright pictures, 0 if nothing had to be done. */
} kind_result;

/**
 * Enhances `from` into `to`, which has the same sides, any samples, and either the same channels or those without the
 * alpha channel. Gray stays gray, also where it is RGB with equal channels in every pixel. Alpha comes out as it went
 * in. Both may share memory: `from` is copied first. options NULL: the defaults. result may be NULL. After an error
 * nothing of `to` and `result` has changed.
 */
KIND_API int kind_enhance(const kind_model* model, const kind_picture* from, const kind_picture* to,
                          const kind_options* options, kind_result* result);

/*
 * The nets one by one, to look into the method or to build upon its parts (since KIND_1, see nets/c/kind.map):
 *
 *     input = stretched picture;  R, L = decomposition(input);  R_hat = restoration(R, L);
 *     L_hat = adjustment(L, ratio);  result = R_hat * L_hat
 *
 * Maps are kind_pictures of KIND_FLOATS and of the same sides: R, R_hat and the input have three channels, L and L_hat
 * one. Values are taken and given as they are, without limits or steps; those that are not finite are refused. Whole maps
 * are held in memory. They may share memory: all inputs are copied first. After an error nothing has changed. threads: as
 * kind_options::threads.
 */

/** The forms of the nets and how they are used, as JSON: the metadata of the model file. Valid as long as the model. */
KIND_API const char* kind_describe(const kind_model* model);

/**
 * The picture as decomposition sees it: stretched to 0..1 as the model says, over the picture as it is, without looking
 * for a frame. from: one or three channels, any samples; to: three channels of floats.
 */
KIND_API int kind_stretch(const kind_model* model, const kind_picture* from, const kind_picture* to, int32_t threads);

/** R and L of a stretched picture (three channels). */
KIND_API int kind_decompose(const kind_model* model, const kind_picture* input, const kind_picture* reflectance,
                            const kind_picture* illumination, int32_t threads);

/** R_hat; a copy of R where the model has no restoration net. */
KIND_API int kind_restore(const kind_model* model, const kind_picture* reflectance, const kind_picture* illumination,
                          const kind_picture* restored, int32_t threads);

/** L_hat for a ratio, above 0 and at most 100. */
KIND_API int kind_adjust(const kind_model* model, const kind_picture* illumination, double ratio,
                         const kind_picture* adjusted, int32_t threads);

/* NOLINTEND(modernize-use-using) */

#ifdef __cplusplus
}
#endif

#endif
