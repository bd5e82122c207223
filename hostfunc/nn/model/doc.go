// Package model describes networks: their files, and how an image becomes their input.
//
// Backends share it, so that one list of models serves all of them, and a list
// builds without any.
//
//	m := model.Model{Name: "yolox_nano", Files: files, InputW: 416, InputH: 416, Align: model.TopLeft}
//	err := m.Check() // files there, of the right size and digest
//
// # Images
//
// [Prepare] decodes a JPEG or PNG and letterboxes it into an input tensor with the
// standard library. It does what OpenCV does: the resizing is the same to the bit,
// and so is what becomes of a PNG; pixels of a JPEG may differ by a few levels, as
// decoders round in their own ways. Images are bounded before they are decoded:
// see [Bound].
//
// The orientation in a JPEG's EXIF header is left alone, which OpenCV does not.
//
// # Concurrency
//
// A Model is a value. Its Read and Check may not run at once on one Model.
package model
