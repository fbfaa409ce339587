#pragma once

#if KIND_HAS_LCMS

#include <lcms2.h>

#include <cstdint>
#include <vector>

namespace kind::testing {

/// A profile of made-up inks C, M, Y, K: white paper, black K, and cyan, magenta and yellow as CIELAB has them about.
inline std::vector<std::uint8_t> ink_profile() {
  cmsHPROFILE const profile = cmsCreateProfilePlaceholder(nullptr);
  cmsSetProfileVersion(profile, 2.4);
  cmsSetDeviceClass(profile, cmsSigOutputClass);
  cmsSetColorSpace(profile, cmsSigCmykData);
  cmsSetPCS(profile, cmsSigLabData);
  cmsPipeline* const pipeline = cmsPipelineAlloc(nullptr, 4, 3);
  cmsStage* const table = cmsStageAllocCLut16bit(nullptr, 3, 4, 3, nullptr);
  const auto sample = [](const cmsUInt16Number in[], cmsUInt16Number out[], void*) -> cmsInt32Number {
    const double c = in[0] / 65535.0, m = in[1] / 65535.0, y = in[2] / 65535.0, rest = 1 - in[3] / 65535.0;
    const cmsCIELab lab = {100 * rest * (1 - 0.4 * c) * (1 - 0.5 * m) * (1 - 0.1 * y), rest * (75 * m - 35 * c),
                           rest * (90 * y - 50 * c - 5 * m)};
    cmsFloat2LabEncodedV2(out, &lab);
    return 1;
  };
  cmsStageSampleCLut16bit(table, sample, nullptr, 0);
  cmsPipelineInsertStage(pipeline, cmsAT_END, table);
  for (const cmsTagSignature tag : {cmsSigAToB0Tag, cmsSigAToB1Tag}) cmsWriteTag(profile, tag, pipeline);
  cmsPipelineFree(pipeline);
  const cmsCIEXYZ white = *cmsD50_XYZ();
  cmsWriteTag(profile, cmsSigMediaWhitePointTag, &white);
  cmsUInt32Number size = 0;
  cmsSaveProfileToMem(profile, nullptr, &size);
  std::vector<std::uint8_t> bytes(size);
  cmsSaveProfileToMem(profile, bytes.data(), &size);
  cmsCloseProfile(profile);
  return bytes;
}

}  // namespace kind::testing

#endif
