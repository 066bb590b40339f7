{{- define "gvDetails" }}
{{- $group := . }}
All kinds are in `{{ .GroupVersionString }}`. The types of their fields follow in alphabetical
order.
{{ range .SortedKinds }}
{{- template "type" ($group.TypeForKind .) }}
{{- end }}
{{- range .SortedTypes }}
{{- if not .GVK }}
{{- template "type" . }}
{{- end }}
{{- end }}
{{- end -}}
