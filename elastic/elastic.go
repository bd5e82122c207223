// Package elastic provides channels whose far endpoint can move.
//
// The near endpoint of a channel stays on the UE. The far endpoint is served on
// the UE, where a message is a function call, or by an edge host. A move takes
// it from one to the other while messages are in flight, with none lost and
// none answered twice (paper 001, section II).
//
//	var ch elastic.Calls
//	err := ch.Move(ctx, desc, edge) // returns once edge serves the endpoint
//	reply, err := ch.Call(ctx, desc, request)
//	err = ch.Move(ctx, desc, nil) // back on the UE
//
// Applications seldom use it themselves: an elastic function has a channel, and
// the UE offload handler moves it.
//
// # What a move keeps
//
// A move makes before it breaks: the new endpoint is ready before the switch,
// and any failure before it leaves things as they were. Each call is answered by
// the endpoint with which it began. What is not promised: that calls in flight at
// the same time are answered in order, and that a call runs at most once when its
// host is lost (package offload says what happens then).
package elastic
