#pragma once

namespace kind {

/// The style of a report's page: colours by the reader's preference; tables and pictures scroll inside their own boxes, so
/// that the page never does.
extern const char* const kPageStyle;

/// Its script: sorting, filtering, values under the pointer, smoothing, scatter and parallel coordinates with brushes,
/// figures saved as files, pictures laid over each other. It reads the JSON of the element "data" (report_page.cpp).
extern const char* const kPageScript;

}  // namespace kind
