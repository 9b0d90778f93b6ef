// Holds @biz/merkle against the implementation of the Go checksum database (golang.org/x/mod/sumdb). Reads claims as JSON from its
// standard input, answers what that implementation makes of them. src/interop.test.ts runs it.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Byte slices are base64 in JSON.
type input struct {
	Leaves      [][]byte // data of the leaves of one log
	Inclusion   []inclusion
	Consistency []consistency
	Note        string
	VKey        string
	SKey        string // for a note made here, of the same text
}

type inclusion struct {
	Index, Size    int64
	LeafHash, Root []byte
	Path           [][]byte
}

type consistency struct {
	From, To         int64
	FromRoot, ToRoot []byte
	Path             [][]byte
}

type output struct {
	Roots       [][]byte // of the first 1, 2, … leaves
	Inclusion   []bool   // whether each claim is proved
	Consistency []bool
	SamePaths   bool   // whether the proofs made here are the proved ones, hash for hash
	Text        string // of the note, when its signature is valid
	Note        string // the same text, signed here
}

func main() {
	var in input
	must(json.NewDecoder(os.Stdin).Decode(&in))
	log := newLog(in.Leaves)
	out := output{Roots: log.roots, SamePaths: true}
	for _, claim := range in.Inclusion {
		err := tlog.CheckRecord(hashes(claim.Path), claim.Size, hash(claim.Root), claim.Index, hash(claim.LeafHash))
		out.Inclusion = append(out.Inclusion, err == nil)
		if err == nil {
			path, err := tlog.ProveRecord(claim.Size, claim.Index, log)
			must(err)
			out.SamePaths = out.SamePaths && same(path, hashes(claim.Path))
		}
	}
	for _, claim := range in.Consistency {
		err := tlog.CheckTree(hashes(claim.Path), claim.To, hash(claim.ToRoot), claim.From, hash(claim.FromRoot))
		out.Consistency = append(out.Consistency, err == nil)
		if err == nil {
			path, err := tlog.ProveTree(claim.To, claim.From, log)
			must(err)
			out.SamePaths = out.SamePaths && same(path, hashes(claim.Path))
		}
	}
	out.Text, out.Note = reopen(in)
	must(json.NewEncoder(os.Stdout).Encode(out))
}

// reopen opens the note with the key of its signer and signs its text with another.
func reopen(in input) (text, signed string) {
	verifier, err := note.NewVerifier(in.VKey)
	must(err)
	opened, err := note.Open([]byte(in.Note), note.VerifierList(verifier))
	must(err)
	signer, err := note.NewSigner(in.SKey)
	must(err)
	again, err := note.Sign(&note.Note{Text: opened.Text}, signer)
	must(err)
	return opened.Text, string(again)
}

// log is a tree as tlog stores it.
type log struct {
	stored []tlog.Hash
	roots  [][]byte
}

func newLog(leaves [][]byte) *log {
	made := &log{}
	for n, leaf := range leaves {
		stored, err := tlog.StoredHashes(int64(n), leaf, made)
		must(err)
		made.stored = append(made.stored, stored...)
		root, err := tlog.TreeHash(int64(n)+1, made)
		must(err)
		made.roots = append(made.roots, bytes.Clone(root[:]))
	}
	return made
}

func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for at, index := range indexes {
		found[at] = l.stored[index]
	}
	return found, nil
}

func hash(data []byte) (h tlog.Hash) {
	copy(h[:], data)
	return h
}

func hashes(data [][]byte) []tlog.Hash {
	made := make([]tlog.Hash, len(data))
	for at := range data {
		made[at] = hash(data[at])
	}
	return made
}

func same(one, other []tlog.Hash) bool {
	if len(one) != len(other) {
		return false
	}
	for at := range one {
		if one[at] != other[at] {
			return false
		}
	}
	return true
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
