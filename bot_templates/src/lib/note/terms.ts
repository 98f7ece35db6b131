/** Words of a physical examination: a finding that a source does not name was not found. */
const EXAMINATION = anyOf(
  'on (?:physical )?exam\\w*|physical exam\\w*|vital signs|auscult\\w*|palpat\\w*|percuss\\w*',
  // General
  'well[- ]appearing|ill[- ]appearing|acute distress|nontoxic|afebrile|febrile|oriented|affect|turgor|pallor|cyanosis',
  'clubbing|jaundiced?|icter\\w*|swelling|swollen|lymphadenopathy|o?edema\\w*',
  // Head and neck
  'normocephalic|atraumatic|HEENT|pupils?|PERRLA?|EOMI|conjunctiv\\w*|sclera\\w*|fundoscop\\w*|nystagmus|tympanic',
  'oropharyn\\w*|pharyn\\w*|tonsil\\w*|mucous|mucosa\\w*|supple|thyromegaly|goiter|jugular|JVD',
  // Chest
  'murmurs?|gallops?|regular rate|rhythm|heart sounds|pulses?|capillary|rales|rhonchi|crackles?|wheez\\w*|stridor',
  'breath sounds|clear to|(?:lungs?|chest) (?:\\w+ ){0,3}clear|crepitus',
  // Abdomen
  'bowel sounds|soft|tender\\w*|nontender|guarding|rebound|distend\\w*|distension|masses|hernias?|organomegaly',
  'hepatomegaly|splenomegaly|hepatosplenomegaly',
  // Skin
  'erythema\\w*|rash\\w*|lesions?|ecchymos\\w*|petechia\\w*',
  // Nerves and limbs
  'cranial nerves?|sensation|reflex\\w*|gait|romberg|babinski|neurologically|focal deficits?|range of motion'
);

/** Endings by which medicines are named, and names and kinds without them. */
const MEDICINE = anyOf(
  `[a-z]{2,20}(?:${[
    'cillin|mycin|micin|cycline|floxacin|conazole|nidazole|vir|statin|pril|sartan|olol|dipine|zosin|thiazide|semide',
    'lactone|parin|xaban|gatran|grel|gliptin|gliflozin|glitazone|formin|glutide|prazole|setron|triptan|zepam|zolam',
    'barbital|oxetine|traline|pramine|triptyline|tiapine|zapine|idone|codone|morphone|fentanil|caine|profen|oxicam',
    'coxib|sone|solone|terol|tropium|lukast|mab|tinib|dronate|prost|thyroxine',
  ].join('|')})`,
  'aspirin|acetylsalicylic|warfarin|insulin|digoxin|lithium|morphine|codeine|fentanyl|ketamine|tramadol|acetaminophen',
  'paracetamol|methotrexate|gabapentin|pregabalin|amiodarone|nitroglycerin|hydralazine|clonidine|naproxen|colchicine',
  'allopurinol|azathioprine|cyclosporine?|tacrolimus|valproate|carbamazepine|lamotrigine|levetiracetam|phenytoin',
  'haloperidol|ticagrelor|cef[a-z]{3,12}|trimethoprim|sulfamethoxazole|antibiotics?|steroids?|opioids?|anticoagulants?',
  'vaccin\\w*'
);

function anyOf(...alternatives: string[]): RegExp {
  return new RegExp(`\\b(?:${alternatives.join('|')})\\b`, 'gi');
}

/** A judgement, and what in a source bears it out: words of the same kind, or a code of its interpretation. */
const JUDGEMENTS: readonly { judges: RegExp; words: RegExp; codes: RegExp }[] = [
  judgement('high|elevated|raised|increased', 'above|hyper\\w{3,}', 'HH?|HU|>'),
  judgement('low|decreased|reduced', 'below|hypo\\w{3,}', 'LL?|LU|<'),
  judgement('normal|unremarkable', 'within', 'N'),
  judgement('abnormal', 'high|elevated|low|positive', 'AA?|HH?|LL?|POS'),
  judgement('positive', 'detected', 'POS'),
  judgement('negative', 'not detected|undetected', 'NEG'),
  judgement('critical', 'life[- ]threatening', 'HH|LL|AA'),
  judgement('resolved|recovered|cured|in remission', 'remission', 'none'),
  judgement('well[- ]controlled', 'good control', 'none'),
  judgement('uncontrolled|poorly[- ]controlled', 'poor control', 'none'),
  judgement('improv\\w{1,6}|better', 'recover\\w{1,4}', 'B'),
  judgement('worse\\w{0,4}|deteriorat\\w{1,4}', 'exacerbat\\w{1,4}', 'W'),
];

/** Words by which a condition becomes another: a side, a course, a degree. A source must say the same. */
const QUALIFIER = anyOf(
  'left|right|bilateral|mild|moderate|severe|acute|chronic|recurrent|progressive|stable|unstable|controlled',
  'primary|secondary|malignant|benign|confirmed|terminal'
);

function judgement(judges: string, alsoWords: string, codes: string): (typeof JUDGEMENTS)[number] {
  return {
    judges: new RegExp(`\\b(?:${judges})\\b`, 'i'),
    words: new RegExp(`\\b(?:${judges}|${alsoWords})\\b`, 'i'),
    codes: new RegExp(`\\bInterpretation:? (?:${codes})(?![A-Za-z])`),
  };
}

/** Findings of an examination in a text that another does not name. */
export function unsupportedFindings(text: string, said: string): string[] {
  return unnamed(EXAMINATION, text, said);
}

/** Medicines in a text that another does not name. */
export function unsupportedMedicines(text: string, said: string): string[] {
  return unnamed(MEDICINE, text, said);
}

/** Whether a text judges, such as "elevated" or "left", where another text does not judge alike. */
export function unsupportedJudgement(text: string, said: string): boolean {
  const judgesAlone = JUDGEMENTS.some(
    ({ judges, words, codes }) => judges.test(text) && !words.test(said) && !codes.test(said)
  );
  return judgesAlone || unnamed(QUALIFIER, text, said).length > 0;
}

/** A text without its words of judgement. */
export function withoutJudgements(text: string): string {
  return JUDGEMENTS.reduce((rest, { judges }) => rest.replace(new RegExp(judges, 'gi'), ' '), text);
}

function unnamed(terms: RegExp, text: string, said: string): string[] {
  // From the beginning of a word: "nontender" does not bear out "tender".
  const known = ` ${words(said)}`;
  const used = text.replace(/\s+/g, ' ').match(terms) ?? [];
  return [...new Set(used.map(words))].filter((term) => !known.includes(` ${stem(term)}`));
}

function words(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, ' ');
}

/** Without the ending of a plural or a verb: `wheezing` is said where `wheeze` is. */
function stem(term: string): string {
  return term.length > 6 ? term.replace(/(?:ing|ation|ed|es|e|s)$/, '') : term.replace(/s$/, '');
}
