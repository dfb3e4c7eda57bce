package field

import (
	"bytes"
	"encoding/base64"
)

// The functions below are what transformers do to bytes. Conditions and outputs share
// them. Those that build a text append it to dst, and allocate only if dst is full.

// AppendLower appends b with its ASCII letters in lower case.
func AppendLower(dst, b []byte) []byte {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// AppendUpper appends b with its ASCII letters in upper case.
func AppendUpper(dst, b []byte) []byte {
	for _, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// AppendBase64Decoded appends what b encodes in the standard alphabet, with or without
// padding. It reports false, and appends nothing, if b is not base64.
func AppendBase64Decoded(dst, b []byte) ([]byte, bool) {
	for range 2 {
		if n := len(b); n > 0 && b[n-1] == '=' {
			b = b[:n-1]
		}
	}
	// The decoder skips line ends, which the transformer does not.
	if bytes.ContainsAny(b, "\r\n") {
		return dst, false
	}
	start := len(dst)
	d, err := base64.RawStdEncoding.AppendDecode(dst, b)
	if err != nil {
		return dst[:start], false
	}
	return d, true
}

// Basename returns what follows the last slash of b.
func Basename(b []byte) []byte { return b[bytes.LastIndexByte(b, '/')+1:] }

// TextLen returns the length of a text: what a NUL byte and the bytes after it say does
// not count.
func TextLen(b []byte) int {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return i
	}
	return len(b)
}

// AppendOptions reads args as getopt(3) does, with the short options that letters
// names, each followed by a colon if it takes a value. It appends every option and,
// if it takes one, its value. An option that letters does not name appends "?". What
// it appends lies in args and letters.
func AppendOptions(dst, args [][]byte, letters []byte) [][]byte {
	eachOption(args, letters, func(letter, value []byte, takes bool) {
		dst = append(dst, letter)
		if takes {
			dst = append(dst, value)
		}
	})
	return dst
}

// Option returns the value of the last occurrence of an option in args, or the letter
// itself if it takes no value.
func Option(args [][]byte, letters []byte, letter byte) (value []byte, ok bool) {
	eachOption(args, letters, func(l, v []byte, takes bool) {
		if l[0] != letter {
			return
		}
		if ok = true; takes {
			value = v
		} else {
			value = l
		}
	})
	return value, ok
}

var unknownOption = []byte("?")

// eachOption stops at "--", "-" and the first argument that is no option. Long options
// are skipped.
func eachOption(args [][]byte, letters []byte, f func(letter, value []byte, takes bool)) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' || len(a) == 2 && a[1] == '-' {
			return
		}
		if a[1] == '-' {
			continue
		}
		for j := 1; j < len(a); j++ {
			at := bytes.IndexByte(letters, a[j])
			if at < 0 || a[j] == ':' {
				f(unknownOption, nil, false)
				continue
			}
			letter := letters[at : at+1]
			if at+1 == len(letters) || letters[at+1] != ':' {
				f(letter, nil, false)
				continue
			}
			value := a[j+1:]
			if len(value) == 0 && i+1 < len(args) {
				i++
				value = args[i]
			}
			f(letter, value, true)
			break
		}
	}
}
