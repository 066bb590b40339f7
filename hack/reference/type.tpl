{{- define "type" }}
{{- if markdownShouldRenderType . }}
## {{ .Name }}

{{ .Doc | replace "*" "\\*" }}
{{ if .GVK }}
Examples and effects: [{{ .Name }}](spec/{{ lower .Name }}.md).
{{ end }}
{{- if and .References (not .GVK) }}
{{ if .IsAlias }}Type: {{ markdownRenderTypeLink .UnderlyingType }}. {{ end -}}
Used by: {{ range $i, $r := .SortedReferences }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $r }}{{ end }}.
{{ end }}
{{- if and .Validation .IsAlias (not .EnumValues) }}
Validation: {{ template "validation" .Validation }}.
{{ end }}
{{- if .Members }}
| field | type | required | description | default | validation |
| --- | --- | --- | --- | --- | --- |
{{ range .Members -}}
| `{{ .Name }}` | {{ template "fieldType" . }} | {{ if has "Required: {}" .Validation }}yes{{ else }}no{{ end }} | {{ template "type_members" . }} | {{ if .Default }}`{{ .Default }}`{{ end }} | {{ template "validation" .Validation }} |
{{ end }}
{{- end }}
{{- if .EnumValues }}
| value | meaning |
| --- | --- |
{{ range .EnumValues -}}
| `{{ .Name }}` | {{ template "prose" (regexReplaceAll "^[A-Z]\\w+ " .Doc "") }} |
{{ end }}
{{- end }}
{{- end }}
{{- end -}}
