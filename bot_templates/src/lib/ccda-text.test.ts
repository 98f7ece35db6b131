import { describe, expect, test } from 'vitest';
import { clinicalDocumentToText, isClinicalDocument } from './ccda-text.ts';

const document = (body: string, prefix = '') =>
  `<?xml version="1.0"?><${prefix}ClinicalDocument xmlns="urn:hl7-org:v3">
    <title>Summary of Eleanor Rigby</title>
    <recordTarget><patientRole><id extension="MRN-1966"/><patient><name><given>Eleanor</given></name>
      <birthTime value="19660805"/></patient></patientRole></recordTarget>
    <component><structuredBody>${body}</structuredBody></component></${prefix}ClinicalDocument>`;

describe('clinicalDocumentToText', () => {
  test('takes titles and narrative of sections, nested ones too', () => {
    const body = `
      <component><section><code code="11450-4"/><title>Problems</title>
        <text><list><item>Asthma</item><item ID="p2">Eczema &amp; hay fever</item></list></text>
        <entry><observation><value displayName="coded only"/></observation></entry>
        <component><section><title>Resolved</title><text><paragraph>Croup</paragraph></text></section></component>
      </section></component>
      <component><section><title>Results</title>
        <text><table><tbody><tr><td>Na</td><td>140</td></tr></tbody></table></text></section></component>`;
    expect(clinicalDocumentToText(document(body))).toBe(
      '## Problems\n\n- Asthma\n- Eczema & hay fever\n\n## Resolved\n\nCroup\n\n## Results\n\nNa | 140'
    );
  });

  test('leaves out the header, which names the patient, and coded entries', () => {
    const text = clinicalDocumentToText(
      document('<component><section><title>Plan</title><text>Rest</text></section></component>')
    );
    expect(text).toBe('## Plan\n\nRest');
    expect(text).not.toMatch(/Eleanor|1966|MRN/);
  });

  test('knows namespaced elements', () => {
    const body =
      '<n:component><n:section><n:title>Plan</n:title><n:text>Rest<n:br/>well</n:text></n:section></n:component>';
    expect(clinicalDocumentToText(document(body, 'n:'))).toBe('## Plan\n\nRest\nwell');
  });

  test.each([
    ['cut off in the middle', '<ClinicalDocument><section><title>Plan</title><text>Rest', '## Plan\n\nRest'],
    [
      'with tags closed twice',
      '<ClinicalDocument><section><text>Rest</text></text></text></section></ClinicalDocument>',
      'Rest',
    ],
    [
      'without sections',
      '<ClinicalDocument><nonXMLBody><text mediaType="application/pdf">JVBERi0=</text></nonXMLBody></ClinicalDocument>',
      '',
    ],
    ['empty', '', ''],
  ])('bears a document %s', (_name, xml, text) => {
    expect(clinicalDocumentToText(xml)).toBe(text);
  });

  test('takes time in proportion to the document, however deep it is', () => {
    const started = performance.now();
    clinicalDocumentToText('<section><text>'.repeat(100_000));
    clinicalDocumentToText('<a>'.repeat(50_000) + '</b>'.repeat(50_000));
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

test.each([
  ['<ClinicalDocument xmlns="urn:hl7-org:v3">', true],
  ['<?xml version="1.0"?><!-- made by hand --><cda:ClinicalDocument>', true],
  ['<html>ClinicalDocument</html>', false],
  ['<ClinicalDocuments>', false],
])('isClinicalDocument(%j) is %j', (xml, expected) => {
  expect(isClinicalDocument(xml)).toBe(expected);
});
