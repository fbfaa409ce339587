#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// XMP packets (ISO 16684-1) are XML, which these functions search for a few properties without parsing it all.
namespace kind {

/// Makes a packet true of the picture once it is upright and about to change: the sizes it states become `width` x
/// `height`, thumbnails (xmp:Thumbnails) are taken out, and where an orientation was `applied` tiff:Orientation
/// becomes 1.
void make_xmp_upright(std::string& packet, int width, int height, bool applied, bool quarter_turn = false);

/// Takes out the properties that speak of what else was in the picture's file and is not carried over, or of the old
/// pixels: all of the namespaces of gain maps (Adobe, Apple), and of motion photos, containers, depth maps and pictures in
/// XMP (Google). Everything else stays byte for byte. Returns what was taken out, for people to read, "gain map". Packets
/// that are no well-formed XML stay as they are.
std::vector<std::string> remove_stale_xmp(std::string& packet);

/// JPEG files hold at most 65 KB in one packet; more goes to an extension, which the packet names by its digest.
/// The 32 digits of that name, empty where there is none.
std::string xmp_extension_name(std::string_view packet);
/// Names an extension that has changed in the packet that has named it before.
void rename_xmp_extension(std::string& packet, std::string_view extension);
/// Packet and extension as one packet; nothing where they are not of the usual form.
std::optional<std::string> join_xmp(const std::string& packet, const std::string& extension);
struct SplitXmp {
  std::string packet, extension;
};
/// One large packet as a small one and its extension.
SplitXmp split_xmp(const std::string& packet);

/// RFC 1321, as 32 upper-case hexadecimal digits: what extensions are named by.
std::string md5_text(std::string_view bytes);

}  // namespace kind
