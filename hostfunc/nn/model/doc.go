// Package model describes networks: their files, and how an image becomes their input.
//
// All backends take these descriptions, and they need no backend to build.
//
//	m := model.Model{Name: "yolox_nano", Files: files, InputW: 416, InputH: 416, Align: model.TopLeft}
//	err := m.Check() // files there, of the right size and digest
//
// # Images
//
// [Prepare] decodes a JPEG or PNG and letterboxes it into an input tensor with the
// standard library. It computes what OpenCV computes: a PNG gives the same tensor bit by
// bit; pixels of a JPEG differ by a few levels, since JPEG decoders round differently.
// Images are bounded before they are decoded: see [Bound].
//
// Images are turned upright, as the EXIF data of a JPEG or PNG say, by every backend: see [OrientationOf].
//
// # Concurrency
//
// A Model is a value. Do not call Read and Check of one Model at the same time.
package model
