// Package catalog knows object detectors and finds their files.
//
// An [Entry] describes a detector: its input, its outputs, and its files with their
// digests. [Resolve] finds these files on this machine or fetches them, and says in a
// sentence which it took and why. No model is part of this package.
//
//	found, err := catalog.Resolve(ctx, "", catalog.Options{})
//	log.Print(found.Why)
//	b, err := opencv.New(opencv.Config{Models: []model.Model{found.Model}})
//
// # Where it looks
//
// In the folder that BUNGEE_MODELS names, then in the user's cache, then at the entry's
// source, from where it puts the files into the cache. The empty name asks for
// [Default], and if that cannot be found, for "centernet".
//
// A name that ends in .onnx or .weights is the path of a file of the user's own: see
// [Options]. The size of its input, its labels and its head are read in an ONNX file, as
// far as it says them. One whose first input is no image has no size: it takes tensors.
//
// # Limits
//
// Fetched files must have the size and the SHA-256 of their entry. A user's own file can
// be any.
//
// # Concurrency
//
// All functions may be called from many goroutines and processes at once. A file appears
// in the cache whole or not at all.
package catalog

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// Default is the name of the entry that an empty name asks for first.
const Default = "yolo-fastest-1.1-xl"

// fallback is taken where Default cannot be fetched.
const fallback = "centernet"

// An Entry is a detector.
type Entry struct {
	// Name is the name that [Resolve] and [Lookup] take.
	Name string
	// Head is the form of its outputs, one of those that [Options] has. Empty means that
	// their shape and the number of labels have to tell.
	Head string
	// Labels are the names of its classes.
	Labels []string
	// Model is the model for a backend. In [Entries] the paths are file names; in a
	// [Found] they can be opened.
	Model model.Model
	// Licence is the licence of the weights.
	Licence string
	// Source says where the files come from.
	Source string

	from origin
}

// An origin is a way to fetch an entry.
type origin uint8

const (
	byHand origin = iota // only the user can
	byHTTPS
	byNPM
)

// Entries returns all known detectors, the default first.
func Entries() []Entry {
	const yoloFastest = "the author's repository dog-qiuqiu/Yolo-Fastest, folder ModelZoo/yolo-fastest-1.1_coco"
	return []Entry{
		darknetEntry(Default, yoloFastest,
			model.File{Size: 3693964, SHA256: "fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5"},
			model.File{Size: 9696, SHA256: "c458427acc4fbeabceff4528ef7b65b066c0308ce599460f8ba299eba63abad3"}),
		darknetEntry("yolo-fastest-1.1", yoloFastest,
			model.File{Size: 1384268, SHA256: "1c445c42bbd6df63edea2cc69f99667b5650d663ca11e34b116240740cd42890"},
			model.File{Size: 9685, SHA256: "f6df5775c1e862998cf69046eba9265be3ae84dfe8b2caab7529823f0795bf70"}),
		{
			Name: "yolox_nano", Head: "yolox", Labels: COCO(),
			Model: input("yolox_nano", "yolox", 416, model.File{Path: "yolox_nano.onnx", Size: 3678356,
				SHA256: "e8af074932d4ed7e232278e3055cefcdea3edf178874a3694ae292649fb464dd"}),
			Licence: "Apache-2.0", Source: "the ONNX export of YOLOX-nano that its authors publish, Megvii-BaseDetection/YOLOX",
		},
		{
			Name: fallback, Head: "centernet", Labels: COCO(),
			Model: input(fallback, "centernet", 512, model.File{Path: "centernet.onnx", Size: 8173063,
				SHA256: "82d12500ca435bd5c972dc31c4cfe6fbc13ed08d41e1b977ce0d4ba220776bc2"}),
			Licence: "MIT", Source: "the npm package " + npmPackage + ", converted to ONNX here", from: byNPM,
		},
	}
}

func darknetEntry(name, source string, weights, cfg model.File) Entry {
	weights.Path, cfg.Path = name+".weights", name+".cfg"
	return Entry{
		Name: name, Head: "darknet", Labels: COCO(),
		Model:   input(name, "darknet", 320, weights, cfg),
		Licence: "YOLO LICENSE v2 (public domain)", Source: source, from: byHTTPS,
	}
}

// heads are the values of Entry.Head.
var heads = []string{
	"darknet", "yolox", "yolov6", "centernet", "yolov5", "yolov8", "yolov8-pose", "yolov8-obb", "yolov8-seg", "end2end",
}

// input returns the model of a network with a square input, prepared as
// detectors with that head are trained.
func input(name, head string, side int, files ...model.File) model.Model {
	m := model.Model{Name: name, Files: files, InputW: side, InputH: side, Pad: 114, Scale: 1}
	switch head {
	case "yolox": // blue first, 0 to 255, image at the top left
		m.Align = model.TopLeft
	case "centernet": // red first, 0 to 255
		m.SwapRB = true
	default: // red first, 0 to 1
		m.SwapRB, m.Scale = true, 1/255.
	}
	return m
}

// Lookup returns the entry of that name.
func Lookup(name string) (Entry, bool) {
	all := Entries()
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return Entry{}, false
	}
	return all[i], true
}

func names() string {
	var s []string
	for _, e := range Entries() {
		s = append(s, e.Name)
	}
	return strings.Join(s, ", ")
}

// in returns the entry with its files in dir, once they are as pinned.
func (e Entry) in(dir string) (Entry, error) {
	e.Model.Files = slices.Clone(e.Model.Files)
	for i := range e.Model.Files {
		f := &e.Model.Files[i]
		f.Path = filepath.Join(dir, f.Path)
	}
	return e, e.Model.Check()
}
