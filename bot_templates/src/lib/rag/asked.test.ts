import { expect, test } from 'vitest';
import { askedBy } from './asked.ts';
import type { QuestionType } from './question.ts';

const asked = (question: string, questionType?: QuestionType) =>
  askedBy({
    question,
    patientId: 'p',
    maxContextChunks: 5,
    includeCitations: true,
    questionType,
    temperature: undefined,
    maxTokens: undefined,
  });

test.each<[string, QuestionType]>([
  ['How did the HbA1c develop?', 'trend'],
  ['Has the creatinine changed over the last year?', 'trend'],
  ['What were the previous potassium values?', 'trend'],
  ['Is the blood pressure rising?', 'trend'],
  ['Wie ist der Verlauf des Kreatinins?', 'general'],
  ['Wie ist der Kreatinin-Verlauf?', 'trend'],
  ['How did the labs change over time?', 'trend'],
  ['What is the HbA1c?', 'lab'],
  ['What are the latest lab results?', 'lab'],
  ['Which medications does she take?', 'medication'],
  ['What is the dose of metformin?', 'medication'],
  ['Which diagnoses are known?', 'history'],
  ['Has she had any surgery?', 'history'],
  ['Is he vaccinated against influenza?', 'history'],
  ['Does she live alone?', 'general'],
  ['Did the wound change?', 'general'],
])('"%s" is of type %s', (question, type) => {
  expect(asked(question).type).toBe(type);
});

test('a type that is given goes before the words', () => {
  expect(asked('What is the HbA1c?', 'history')).toMatchObject({ type: 'history', measures: [{ name: 'HbA1c' }] });
});

test.each<[string, string, string[]]>([
  ['medications', 'Which medications does she take?', ['medicationRequests', 'medicationStatements']],
  ['allergies', 'Any allergies?', ['allergies']],
  ['allergies in German', 'Bestehen Unverträglichkeiten?', ['allergies']],
  ['conditions', 'Which conditions does he suffer from?', ['conditions']],
  ['procedures', 'Which operations were done?', ['procedures']],
  ['immunizations', 'Which vaccinations did she get?', ['immunizations']],
  ['vitals', 'What are the vital signs?', ['vitals']],
])('asks for %s', (_name, question, parts) => {
  expect([...asked(question).parts]).toEqual(expect.arrayContaining(parts));
});

test.each([
  ['How did the labs change?', undefined, true],
  ['What is going on?', 'trend', true],
  ['How did the HbA1c change?', 'trend', false],
  ['How did the wound change?', undefined, false],
  ['What are the labs?', 'lab', false],
] as const)('"%s" of type %s wants every series: %s', (question, type, expected) => {
  expect(asked(question, type).everySeries).toBe(expected);
});
