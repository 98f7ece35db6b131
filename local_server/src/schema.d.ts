/** The boiled-down FHIR definitions; the build makes the text (scripts/schema-text.mjs). */
declare module 'medbots:schema' {
  const text: string;
  export default text;
}
