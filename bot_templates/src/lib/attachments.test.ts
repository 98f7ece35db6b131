import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestFhirServer } from '../../test/support/fhir-server.ts';
import { attachmentText, binaryId } from './attachments.ts';

const server = new TestFhirServer();
beforeAll(() => server.start());
afterAll(() => server.stop());

const base64 = (text: string, encoding: BufferEncoding = 'utf8') => Buffer.from(text, encoding).toString('base64');
const read = (attachment: object) => attachmentText(server.client(), attachment);

describe('attachmentText, inline', () => {
  test.each([
    ['plain text', 'text/plain', 'Lungs clear.', 'Lungs clear.'],
    ['Markdown as it is', 'text/markdown', '# Plan\n*rest*', '# Plan\n*rest*'],
    ['HTML as text', 'text/html; charset=utf-8', '<p>Lungs <b>clear</b></p>', 'Lungs clear'],
    [
      'C-CDA as text',
      'application/hl7-cda+xml',
      '<ClinicalDocument><section><text>Rest</text></section></ClinicalDocument>',
      'Rest',
    ],
    ['C-CDA as XML', 'text/xml', '<ClinicalDocument><section><text>Rest</text></section></ClinicalDocument>', 'Rest'],
  ])('reads %s', async (_name, contentType, content, text) => {
    expect(await read({ contentType, data: base64(content) })).toEqual({ text });
  });

  test('honours the charset', async () => {
    expect(await read({ contentType: 'text/plain; charset=iso-8859-1', data: base64('Übelkeit', 'latin1') })).toEqual({
      text: 'Übelkeit',
    });
  });

  test('bears line breaks in base64', async () => {
    expect(await read({ contentType: 'text/plain', data: base64('abc def').replace(/(.{4})/g, '$1\r\n') })).toEqual({
      text: 'abc def',
    });
  });

  test.each([
    ['a PDF', { contentType: 'application/pdf', data: base64('%PDF-1.4') }, 'content of this type is not read as text'],
    ['RTF', { contentType: 'application/rtf', data: base64('{\\rtf1') }, 'content of this type is not read as text'],
    ['an image', { contentType: 'image/png', data: 'AAAA' }, 'content of this type is not read as text'],
    [
      'a PDF that says it is text',
      { contentType: 'text/plain', data: base64('%PDF-1.4') },
      'it is a PDF, whatever its content type says',
    ],
    [
      'other XML',
      { contentType: 'application/xml', data: base64('<a/>') },
      'it is XML, but no clinical document (CDA)',
    ],
    ['no content type', { data: base64('x') }, 'it has no content type'],
    ['no content', { contentType: 'text/plain' }, 'it has no content'],
    ['what is no base64', { contentType: 'text/plain', data: 'not base64!' }, 'its data is no base64'],
    ['cut base64', { contentType: 'text/plain', data: 'abcde' }, 'its data is no base64'],
    ['more than 5 MB', { contentType: 'text/plain', data: 'AAAA'.repeat(1_800_000) }, 'it is larger than 5 MB'],
  ])('gives no text of %s', async (_name, attachment, reason) => {
    expect(await read(attachment)).toEqual({ reason });
  });
});

describe('attachmentText, by URL', () => {
  test('reads a Binary by reference, by FHIR URL and by storage URL, always over FHIR', async () => {
    const id = server.putBinary('text/plain', 'Lungs clear.');
    for (const url of [
      `Binary/${id}`,
      `${server.url}fhir/R4/Binary/${id}`,
      `${server.url}storage/${id}/${randomUUID()}?Expires=1&Signature=x`,
    ]) {
      server.requests.length = 0;
      expect(await read({ contentType: 'text/plain', url })).toEqual({ text: 'Lungs clear.' });
      expect(new Set(server.requests)).toEqual(new Set([`GET /fhir/R4/Binary/${id}`]));
    }
  });

  const RECORD = `DocumentReference/${randomUUID()}`;
  const PATIENT = `Patient/${randomUUID()}`;
  const ofRecord = (url: string, patient: string | undefined = PATIENT) =>
    attachmentText(server.client(), { contentType: 'text/plain', url }, { record: RECORD, patient });

  test.each([
    ['nobody', undefined],
    ['the record', RECORD],
    ["the record's patient", PATIENT],
  ])('reads a Binary that is kept for %s', async (_name, keptFor) => {
    const id = server.putBinary('text/plain', 'Lungs clear.', 0, keptFor);
    expect(await ofRecord(`Binary/${id}`)).toEqual({ text: 'Lungs clear.' });
  });

  test.each([
    ['another patient', `Patient/${randomUUID()}`],
    ['another record', `DocumentReference/${randomUUID()}`],
    ['a record of another type with the same id', RECORD.replace('DocumentReference', 'DiagnosticReport')],
    ['a bot', `Bot/${randomUUID()}`],
    ['what is no reference', ''],
  ])('reads no byte of a Binary that is kept for %s', async (_name, keptFor) => {
    const id = server.putBinary('text/plain', "Another patient's note.", 0, keptFor);
    server.requests.length = 0;
    expect(await ofRecord(`Binary/${id}`)).toEqual({ reason: 'its Binary is kept for another record' });
    expect(server.requests).toEqual([`GET /fhir/R4/Binary/${id}`]);
  });

  test('of a record without a patient, nothing that is kept for one', async () => {
    const id = server.putBinary('text/plain', 'x', 0, PATIENT);
    const url = `Binary/${id}`;
    const found = await attachmentText(server.client(), { contentType: 'text/plain', url }, {
      record: RECORD,
      patient: undefined,
    });
    expect(found).toEqual({ reason: 'its Binary is kept for another record' });
    expect(await read({ contentType: 'text/plain', url })).toEqual(found);
  });

  test.each(['application/javascript', 'text/javascript', 'text/typescript', 'application/octet-stream', 'application/pdf'])(
    'reads no byte of a Binary of type %s, whatever the attachment says',
    async (type) => {
      const id = server.putBinary(type, 'exports.handler = async () => 1;');
      server.requests.length = 0;
      expect(await ofRecord(`Binary/${id}`)).toEqual({ reason: 'content of this type is not read as text' });
      expect(server.requests).toEqual([`GET /fhir/R4/Binary/${id}`]);
    }
  );

  test("takes no error's body for the content", async () => {
    expect(await read({ contentType: 'text/plain', url: `Binary/${randomUUID()}` })).toEqual({
      reason: 'its Binary answered HTTP 404',
    });
  });

  test('stops at 5 MB, whatever size is claimed', async () => {
    const id = server.putBinary('text/plain', 'x'.repeat(5 * 1024 * 1024 + 1));
    expect(await read({ contentType: 'text/plain', url: `Binary/${id}`, size: 3 })).toEqual({
      reason: 'it is larger than 5 MB',
    });
  });

  test('asks nothing of a size beyond 5 MB', async () => {
    server.requests.length = 0;
    expect(await read({ contentType: 'text/plain', url: `Binary/${randomUUID()}`, size: 6e6 })).toEqual({
      reason: 'it is larger than 5 MB',
    });
    expect(server.requests).toEqual([]);
  });

  test('gives up after five seconds', async () => {
    const id = server.putBinary('text/plain', 'late', 6_000);
    expect(await read({ contentType: 'text/plain', url: `Binary/${id}` })).toEqual({
      reason: 'its Binary took longer than 5000 ms',
    });
  });

  test('says when the server is gone', async () => {
    const gone = await new TestFhirServer().start();
    const medplum = gone.client();
    await gone.stop();
    expect(await attachmentText(medplum, { contentType: 'text/plain', url: `Binary/${randomUUID()}` })).toEqual({
      reason: 'its Binary could not be read',
    });
  });
});

describe('binaryId', () => {
  const id = '3f2a1b4c-0000-4000-8000-00000000abcd';
  const base = 'https://fhir.example/';

  test.each([
    `Binary/${id}`,
    `Binary/${id}/_history/${id}`,
    `https://fhir.example/fhir/R4/Binary/${id}`,
    `https://fhir.example/storage/${id}/${id}?Signature=x`,
  ])('finds it in %s', (url) => {
    expect(binaryId(url, base)).toBe(id);
  });

  test.each([
    `https://evil.example/storage/${id}/${id}`,
    `http://fhir.example/storage/${id}`,
    `https://fhir.example:444/storage/${id}`,
    `https://fhir.example@evil.example/storage/${id}`,
    `//evil.example/storage/${id}`,
    'http://169.254.169.254/latest/meta-data',
    'file:///etc/passwd',
    'Binary/../Patient/1',
    `Binary/${id}/../../Patient/1`,
    `https://fhir.example/fhir/R4/Patient/${id}`,
    `https://fhir.example/storage/${id}/${id}/more`,
    'data:text/plain,abc',
    '',
  ])('finds none in %s', (url) => {
    expect(binaryId(url, base)).toBeUndefined();
  });
});
