package head

// A Box is an object found in an image.
type Box struct {
	// X, Y is the top left corner, in pixels of the image; W, H the size.
	X, Y, W, H float32
	// Score is the confidence, 0 to 1.
	Score float32
	// Class is the index into the model's labels.
	Class int
	// Shape is what the network tells beyond this; nil: nothing.
	Shape *Shape
}
