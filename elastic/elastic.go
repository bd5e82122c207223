// Package elastic provides channels whose far endpoint can move.
//
// The near endpoint of a channel stays on the UE. The far endpoint is served on
// the UE, where a message is a function call, or by an edge host. A move takes
// it from one to the other while messages are in flight, with none lost and
// none answered twice (paper 001, section II).
//
// A [Channel] is typed, and its far endpoint has state: a type that is marked with
// //offload:endpoint, for which offloadgen writes the Open function.
//
//	ch, err := OpenTracker(elastic.Config{Standby: []elastic.Target{hostA, hostB}})
//	err = ch.Move(ctx, hostA)       // returns once hostA serves the endpoint
//	err = ch.Send(ctx, detections)  // as before
//	tracks, err := ch.Recv(ctx)     // in order, each exactly once
//	err = ch.Move(ctx, nil)         // back on the UE, state included
//
// [Calls] is the channel of elastic functions: independent messages without state.
// Applications seldom use it themselves: the UE offload handler moves it.
//
// # Exactly once
//
// In mode Ordered the outcome of each message (what Handle emitted for it, and its
// error) reaches the near endpoint exactly once and in order, across any number of
// moves, lost hosts and changed paths; and the state of the far endpoint advances
// exactly once per message. One owner per epoch: what an old owner still says is
// dropped, so that leaving a host that was merely slow does no harm.
//
// This rests on replay: after a move or a crash, messages since the last copy of
// the state are handled again, by another instance. So it is for endpoints that
// are marked idempotent: Handle depends on nothing but the state and the message,
// and its effects outside of the channel may happen more than once. Of another
// endpoint no message is ever handled twice; a move waits until all have been
// answered, and a lost host ends the channel with [ErrLost].
//
// Mode Latest handles no message twice. After a crash it goes on with the last
// checkpoint, and tells with Skipped what was lost.
//
// # Failure
//
// A host is left when its connection breaks, when it breaks the protocol, or when
// a message has no outcome by the deadline. The far endpoint then goes to the first
// standby that is warm, else to the UE. A message that breaks its guest gets an
// error for outcome, and the state goes on as if it had not been.
//
// # Cost
//
// With the far endpoint on the UE a message costs about 100 ns and no allocation.
// On an edge host it is one frame each way on one stream. A checkpoint of 1 MB
// costs the host some milliseconds and the downlink 1 MB; [Stats] tells. A channel
// that is idle at an edge host has one goroutine, and a second for its standby.
package elastic
