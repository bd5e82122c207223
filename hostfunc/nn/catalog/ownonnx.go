package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// ownONNX returns the user's network in an ONNX file, as the file says that it is.
func ownONNX(stem, path string, opt Options) (Found, error) {
	o, err := model.ReadONNX(path)
	if err != nil {
		return Found{}, err
	}
	head := cmp.Or(opt.Head, tasks[o.Metadata["task"]])
	w, h, err := imageSize(o, head, opt.InputSize)
	if err != nil {
		return Found{}, fmt.Errorf("%s: %w", path, err)
	}
	usual := COCO()
	if head == "yolov8-pose" {
		usual = []string{"person"}
	}
	labels, from, err := labelsOf(stem, parseNames(o.Metadata["names"]), usual)
	if err != nil {
		return Found{}, err
	}
	return own(stem, []string{path}, head, w, h, labels, from)
}

// tasks are the heads by what Ultralytics' exporter notes as the task. What detects has
// one of several heads.
var tasks = map[string]string{"pose": "yolov8-pose", "obb": "yolov8-obb", "segment": "yolov8-seg"}

// imageSize returns the size of the image that a network takes, 0 where it takes none.
func imageSize(o *model.ONNX, head string, side int) (w, h int, err error) {
	shape, ok := imageShape(o)
	switch {
	case !ok && head == "" && side == 0:
		return 0, 0, nil
	case !ok:
		return 0, 0, fmt.Errorf("its first input is no image, 1x3xHxW of floats, so that it has no head and no size: %s", described(o.Inputs))
	}
	w, h = shape[3], shape[2]
	if side != 0 && (w != model.AnySize && w != side || h != model.AnySize && h != side) {
		return 0, 0, fmt.Errorf("its input is %s pixels by itself, and %d were asked for; leave the size out", sides(w, h), side)
	}
	if side == 0 {
		side = 640
		if head == "centernet" {
			side = 512
		}
		if noted := parseInts(o.Metadata["imgsz"]); len(noted) > 0 {
			side = noted[0]
			if w == model.AnySize {
				w = noted[len(noted)-1]
			}
		}
	}
	if w == model.AnySize {
		w = side
	}
	if h == model.AnySize {
		h = side
	}
	return w, h, nil
}

// imageShape returns the shape of the first input, if it is that of an image.
func imageShape(o *model.ONNX) ([]int, bool) {
	if len(o.Inputs) == 0 {
		return nil, false
	}
	p := o.Inputs[0]
	isFloat := p.Type == model.Float32 || p.Type == model.Float16
	ok := isFloat && len(p.Shape) == 4 && (p.Shape[0] == 1 || p.Shape[0] == model.AnySize) && p.Shape[1] == 3
	return p.Shape, ok
}

// described says what inputs a network has.
func described(ports []model.Port) string {
	var all []string
	for _, p := range ports[:min(len(ports), 4)] {
		all = append(all, fmt.Sprintf("%.64q of shape %v", p.Name, p.Shape))
	}
	return "it has " + cmp.Or(strings.Join(all, ", "), "none")
}

func sides(w, h int) string {
	text := func(n int) string {
		if n == model.AnySize {
			return "any"
		}
		return strconv.Itoa(n)
	}
	return text(w) + "x" + text(h)
}

// parseInts returns the numbers of a list such as "[640, 640]", nil where one is no size.
func parseInts(list string) (all []int) {
	for part := range strings.SplitSeq(strings.Trim(list, "[]() "), ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > 1<<14 || len(all) == 2 {
			return nil
		}
		all = append(all, n)
	}
	return all
}

// parseNames returns the labels that an exporter notes as Python writes them: a list, or
// a dictionary from 0 on. nil: the text is neither, or has none.
func parseNames(text string) []string {
	text = strings.TrimSpace(text)
	dictionary := strings.HasPrefix(text, "{")
	if len(text) < 2 || !dictionary && text[0] != '[' {
		return nil
	}
	end := string(text[0] + 2) // of { and of [
	rest := text[1:]
	var labels []string
	for len(labels) < maxLabels {
		rest = strings.TrimLeft(rest, " ,\n")
		if rest == end {
			return slices.Clip(labels)
		}
		if dictionary {
			key, after, ok := strings.Cut(rest, ":")
			if n, err := strconv.Atoi(strings.TrimSpace(key)); !ok || err != nil || n != len(labels) {
				return nil
			}
			rest = strings.TrimLeft(after, " ")
		}
		label, after, ok := quoted(rest)
		if !ok {
			return nil
		}
		labels, rest = append(labels, label), after
	}
	return nil
}

// quoted returns the text in quotes that s begins with, and what is behind it.
func quoted(s string) (text, rest string, ok bool) {
	if s == "" || s[0] != '\'' && s[0] != '"' {
		return "", "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
