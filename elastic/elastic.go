// Package elastic provides channels whose far endpoint can move.
//
// The near endpoint of a channel stays on the UE. The far endpoint runs on
// the UE, where a message is a function call, or on an edge host. A move takes
// it from one to the other while messages are in flight: none is lost, and none is
// answered twice (paper 001, section II).
//
// A [Channel] is typed. Its far endpoint is a value of a type that is marked with
// //offload:endpoint; the type's exported fields are its state. offloadgen writes the
// function that opens a channel to it.
//
//	ch, err := OpenTracker(elastic.Config{Standby: []elastic.Target{hostA, hostB}})
//	err = ch.Move(ctx, hostA)       // returns once hostA serves the endpoint
//	err = ch.Send(ctx, detections)  // as before
//	tracks, err := ch.Recv(ctx)     // in order, each exactly once
//	err = ch.Move(ctx, nil)         // back on the UE, state included
//
// Elastic functions (package offload) are for independent calls without state. They do
// not use channels.
//
// # Exactly once
//
// In mode Ordered the outcome of each message (what Handle emitted for it, and its
// error) reaches the near endpoint exactly once and in order, across any number of
// moves, lost hosts and changed paths; and the state of the far endpoint advances
// exactly once per message. Each move begins an epoch, and an epoch has one owner: the
// channel drops what an earlier owner still sends. So to leave a host that was merely
// slow does no harm.
//
// The guarantee rests on replay: after a move or a crash, another instance handles the
// messages since the last copy of the state again. Only endpoints marked idempotent are
// replayed: their Handle depends on nothing but the state and the message, and its
// effects outside the channel may happen more than once. So Handle's context has no values and ends only
// with the channel or at the message's deadline, on the UE too. An endpoint without the mark
// never handles a message twice: a move waits until all messages have been answered, and
// a lost host ends the channel with [ErrLost].
//
// Mode Latest handles no message twice. After a crash it goes on from the last
// checkpoint, and Result.Skipped counts what was lost.
//
// # Failure
//
// A channel leaves a host when the connection breaks, when the host breaks the protocol,
// or when a message has no outcome by the deadline. The far endpoint then goes to the first
// standby that is warm, else to the UE. A host that failed to take it over rests for a while that grows.
//
// A message that breaks its far endpoint has an [offload.CallError] for outcome, and the state is as
// if the message had not been sent: it panicked, trapped, ran out of memory, had too large an outcome,
// or overran its deadline at two places, or twice on the UE. Every later replay leaves it
// out, and its host is not to blame. No panic of a Handle leaves the channel.
//
// A guest that breaks when its state is copied, for want of memory or time, breaks no message. Its far endpoint
// goes to the UE, where no copy is needed.
//
// Native code cannot be stopped. In a replay on the UE, a Handle that overruns is left behind with its
// endpoint value, and the channel goes on from checkpoint and replay. While the UE serves and
// no copy of the state is kept, Send waits for Handle as for any function, and what a Handle that
// panics has changed stays changed.
//
// # Who owns what
//
// A value passed to Send belongs to the channel, and Handle may keep what it is given. A result
// belongs to the one who receives it. A []byte in a value may be a part of what was read from the
// network, and holds at most four times its own bytes.
//
// # Cost
//
// With the far endpoint on the UE a message costs about 100 ns and no allocation.
// On an edge host it is one frame each way on one stream. A checkpoint of 1 MB
// costs the host some milliseconds and the downlink 1 MB; [Stats] counts both. A state of over 64 MiB, or
// over what the host's policy allows as output, cannot be copied: checkpoints and moves fail, and Send once the log of messages is full. An outcome of over
// 64 MiB is an error from an edge host; on the UE nothing is encoded and no bound applies. An idle
// channel whose far endpoint is on an edge host has one goroutine, and a second one for its
// standby.
package elastic
