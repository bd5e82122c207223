package head

// suppress keeps, of boxes in order, each that overlaps no kept box of its
// class by more than iou. It works in place.
func suppress(boxes []Box, iou float32) []Box {
	kept := boxes[:0]
	for _, b := range boxes {
		if !covered(b, kept, iou) {
			kept = append(kept, b)
		}
	}
	return kept
}

func covered(b Box, kept []Box, iou float32) bool {
	for i := range kept {
		if kept[i].Class == b.Class && overlap(&kept[i], &b) > iou {
			return true
		}
	}
	return false
}

// overlap returns the intersection of a and b over their union.
func overlap(a, b *Box) float32 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	both := float32(w * h)
	return both / (float32(a.W*a.H) + float32(b.W*b.H) - both)
}
