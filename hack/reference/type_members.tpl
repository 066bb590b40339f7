{{- define "type_members" -}}
{{- if eq .Name "metadata" -}}
The metadata that every Kubernetes object has.
{{- else -}}
{{ template "prose" .Doc }}
{{- end -}}
{{- end -}}

{{- /* A text within a cell: on one line, without emphasis. */ -}}
{{- define "prose" -}}
{{ . | trim | replace "\n" " " | replace "|" "\\|" | replace "*" "\\*" }}
{{- end -}}

{{- /* The reference of Kubernetes has no entry for a UID, which is a string. */ -}}
{{- define "fieldType" -}}
{{ regexReplaceAll "\\[UID\\]\\([^)]*\\)" (markdownRenderType .Type) "string" }}
{{- end -}}

{{- /* Left out are the markers that other columns show, and rules in CEL, which print unreadably. */ -}}
{{- define "validation" -}}
{{- $separator := "" -}}
{{- range . -}}
{{- if not (regexMatch "^(Required|Optional|Enum):|XValidation" .) -}}
{{ $separator }}
{{- if regexMatch "e\\+" . -}}
{{ regexFind "^\\w+" . }}: {{ regexReplaceAll "^\\w+: " . "" | float64 | int64 }}
{{- else -}}
{{ . | replace "|" "\\|" }}
{{- end -}}
{{- $separator = "; " -}}
{{- end -}}
{{- end -}}
{{- end -}}
