# Prints each line of a comment or of Markdown prose that is wider than 100 columns, and exits with
# status 1 if there is one. A tab counts as four columns. Exempt are code, tables, markers and
# directives, and a line that ends in a URL or a link, which cannot be broken.
#
#	LC_ALL=C awk -f hack/words/columns.awk FILE...

BEGIN { max = 100 }

FNR == 1 {
	fenced = 0
	isMarkdown = FILENAME ~ /\.md$/
	isGo = FILENAME ~ /\.go$/
}

isMarkdown && /^ *(```|~~~)/ { fenced = !fenced; next }

isMarkdown && (fenced || /^ *\|/ || /^    /) { next }

isGo && (!/^[ \t]*\/\// || /^[ \t]*\/\/( *\+|go:|nolint)/) { next }

!isMarkdown && !isGo && (!/^[ \t]*#/ || /^#!/) { next }

/(:\/\/[^ ]+|\]\([^ ]+\)[^ ]*)$/ { next }

{
	line = $0
	gsub(/\t/, "    ", line)
	gsub(/[\200-\277]/, "", line) # the continuation bytes of UTF-8
	if (length(line) > max) {
		printf "%s:%d: %d columns; wrap it at %d\n", FILENAME, FNR, length(line), max
		failed = 1
	}
}

END { exit failed }
