/** Something that is measured: its LOINC codes, and the words that a question has for it. */
export interface Measure {
  name: string;
  codes: readonly string[];
  /** Lower case without accents; a term with a capital counts only as it is written, for `alt` and `as` are words too. */
  terms: readonly string[];
}

/** What is asked for most, in English, German, French and Spanish. A code that is not here is found by its own name. */
export const MEASURES: readonly Measure[] = (
  [
    [
      'HbA1c',
      '4548-4 17856-6 59261-8 4549-2 41995-2',
      'hba1c, hb a1c, hgba1c, a1c, hemoglobin a1c, haemoglobin a1c, hamoglobin a1c, glycated hemoglobin, glycated haemoglobin, glycosylated hemoglobin, langzeitzucker, langzeit-blutzucker, hemoglobine glyquee, hemoglobina glicosilada, hemoglobina glucosilada',
    ],
    [
      'Glucose',
      '2345-7 2339-0 1558-6 41653-7 14749-6 15074-8 14771-0',
      'glucose, blood sugar, blood glucose, fasting glucose, blutzucker, glukose, glycemie, glucemia, glicemia',
    ],
    ['Creatinine', '2160-0 38483-4 14682-9', 'creatinine, kreatinin, creatinina'],
    [
      'eGFR',
      '33914-3 62238-1 98979-8 48642-3 48643-1 69405-9 77147-7',
      'egfr, gfr, glomerular filtration rate, filtration rate, dfg, tasa de filtracion glomerular',
    ],
    ['Urea', '3094-0 6299-2 22664-7 14937-7', 'bun, urea, urea nitrogen, blood urea nitrogen, harnstoff, uree'],
    ['Potassium', '2823-3 6298-4', 'potassium, kalium, potasio'],
    ['Sodium', '2951-2 2947-0', 'sodium, natrium, sodio'],
    ['Chloride', '2075-0 2069-3', 'chloride, chlorid, chlore, cloruro'],
    ['Bicarbonate', '2028-9 1963-8', 'bicarbonate, hco3, bikarbonat, bicarbonato'],
    ['Calcium', '17861-6 2000-8', 'calcium, kalzium, calcio'],
    ['Magnesium', '19123-9 2601-3', 'magnesium, magnesio'],
    ['Phosphate', '2777-1 14879-1', 'phosphate, phosphorus, phosphat, fosfato'],
    ['Hemoglobin', '718-7 20509-6 59260-0', 'hemoglobin, haemoglobin, hamoglobin, hemoglobine, hemoglobina, Hb, hgb'],
    ['Hematocrit', '4544-3 20570-8', 'hematocrit, haematocrit, hamatokrit, hematocrite, hematocrito'],
    [
      'Leukocytes',
      '6690-2 26464-8 804-5',
      'wbc, white cells, white blood cells, white cell count, white count, leukocytes, leucocytes, leukozyten, leucocitos',
    ],
    [
      'Platelets',
      '777-3 26515-7 778-1',
      'platelets, platelet count, thrombocytes, thrombozyten, plaquettes, plaquetas',
    ],
    ['Erythrocytes', '789-8 26453-1', 'rbc, red cells, red blood cells, erythrocytes, erythrozyten'],
    ['MCV', '787-2 30428-7', 'mcv, mean corpuscular volume'],
    [
      'CRP',
      '1988-5 30522-7',
      'crp, hs-crp, c-reactive protein, c reactive protein, c-reaktives protein, proteine c reactive, proteina c reactiva',
    ],
    ['ESR', '4537-7 30341-2', 'ESR, sed rate, sedimentation rate, blutsenkung'],
    ['Procalcitonin', '33959-8 75241-0', 'procalcitonin, prokalzitonin, procalcitonine, procalcitonina'],
    ['Cholesterol', '2093-3 14647-2', 'cholesterol, total cholesterol, cholesterin, colesterol'],
    ['LDL cholesterol', '13457-7 18262-6 2089-1 22748-8 39469-2', 'ldl, ldl cholesterol, ldl-c, ldl-cholesterin'],
    ['HDL cholesterol', '2085-9 14646-4', 'hdl, hdl cholesterol, hdl-c, hdl-cholesterin'],
    ['Triglycerides', '2571-8 14927-8', 'triglycerides, triglyceride, trigliceridos'],
    ['ALT', '1742-6 1743-4 1744-2', 'ALT, GPT, SGPT, alanine aminotransferase, alat'],
    ['AST', '1920-8 30239-8', 'AST, GOT, SGOT, aspartate aminotransferase, asat'],
    ['Alkaline phosphatase', '6768-6', 'alkaline phosphatase, alk phos, ALP, alkalische phosphatase'],
    ['GGT', '2324-2', 'ggt, gamma gt, gamma-gt, gamma glutamyl transferase'],
    ['Bilirubin', '1975-2 14631-6', 'bilirubin, bilirubine, bilirrubina'],
    ['Albumin', '1751-7 61151-7', 'albumin, albumine, albumina'],
    ['TSH', '3016-3 11579-0 11580-8', 'tsh, thyrotropin, thyroid stimulating hormone'],
    ['Free T4', '3024-7 14920-3', 'ft4, free t4, free thyroxine, freies t4'],
    ['INR', '6301-6 34714-6 38875-1', 'inr'],
    ['Prothrombin time', '5902-2', 'prothrombin time, PT'],
    ['aPTT', '14979-9 3173-2', 'aptt, ptt, partial thromboplastin time'],
    ['D-dimer', '48065-7 48066-5', 'd-dimer, d dimer, d-dimers, d-dimere'],
    ['Troponin', '67151-1 6598-7 10839-9 89579-7 42757-5', 'troponin, troponine, troponina, hs-troponin'],
    ['BNP', '30934-4 42637-9', 'BNP, brain natriuretic peptide'],
    ['NT-proBNP', '33762-6 83107-3', 'nt-probnp, ntprobnp, nt probnp, probnp'],
    ['PSA', '2857-1', 'psa, prostate specific antigen'],
    ['Ferritin', '2276-4', 'ferritin, ferritine, ferritina'],
    ['Vitamin D', '1989-3 62292-8', 'vitamin d, 25-hydroxyvitamin d, vitamina d, vitamine d'],
    ['Vitamin B12', '2132-9', 'vitamin b12, cobalamin, b12, vitamina b12, vitamine b12'],
    ['Folate', '2284-8', 'folate, folic acid level, folsaure'],
    ['Urate', '3084-1', 'uric acid, urate, harnsaure, acido urico, acide urique'],
    ['Lactate', '2524-7 32693-4', 'lactate, laktat, lactato'],
    [
      'Albumin/creatinine in urine',
      '9318-7 14959-1 32294-1',
      'acr, uacr, albumin creatinine ratio, albumin to creatinine ratio, microalbumin, albuminuria',
    ],
    ['Lithium', '14334-7 3719-2', 'lithium level, lithium levels, lithiumspiegel'],
    ['Digoxin', '10535-3', 'digoxin level, digoxin levels, digoxinspiegel'],
    [
      'Blood pressure',
      '85354-9 55284-4 8480-6 8462-4',
      'blood pressure, BP, systolic, diastolic, blutdruck, tension arterielle, pression arterielle, presion arterial, tension arterial',
    ],
    [
      'Heart rate',
      '8867-4',
      'heart rate, pulse, pulse rate, HR, puls, herzfrequenz, frequence cardiaque, frecuencia cardiaca',
    ],
    [
      'Respiratory rate',
      '9279-1',
      'respiratory rate, breathing rate, RR, atemfrequenz, frequence respiratoire, frecuencia respiratoria',
    ],
    [
      'Body temperature',
      '8310-5 8331-1',
      'temperature, body temperature, temp, temperatur, korpertemperatur, temperatura',
    ],
    ['Body weight', '29463-7 3141-9', 'weight, body weight, weigh, gewicht, korpergewicht, poids, peso'],
    ['Body height', '8302-2', 'height, body height, korpergrosse, taille, estatura, talla'],
    ['BMI', '39156-5', 'bmi, body mass index, imc'],
    [
      'Oxygen saturation',
      '2708-6 59408-5',
      'oxygen saturation, o2 sat, o2 saturation, spo2, sauerstoffsattigung, saturation en oxygene, saturacion de oxigeno',
    ],
    ['Pain score', '72514-3 38208-5', 'pain score, pain scale, pain severity, pain intensity'],
  ] as const
).map(([name, codes, terms]) => ({ name, codes: codes.split(' '), terms: terms.split(', ') }));

/** Groups that a question may mean, by the names of what they hold. */
export const GROUPS: readonly { terms: readonly string[]; measures: readonly string[] }[] = [
  {
    terms: [
      'kidney function',
      'renal function',
      'kidney values',
      'nierenwerte',
      'nierenfunktion',
      'fonction renale',
      'funcion renal',
    ],
    measures: ['Creatinine', 'eGFR', 'Urea', 'Potassium'],
  },
  {
    terms: [
      'liver function',
      'liver values',
      'liver enzymes',
      'hepatic function',
      'leberwerte',
      'fonction hepatique',
      'funcion hepatica',
    ],
    measures: ['ALT', 'AST', 'GGT', 'Alkaline phosphatase', 'Bilirubin'],
  },
  {
    terms: ['lipids', 'lipid profile', 'lipid panel', 'blutfette', 'lipides', 'perfil lipidico'],
    measures: ['Cholesterol', 'LDL cholesterol', 'HDL cholesterol', 'Triglycerides'],
  },
  {
    terms: ['electrolytes', 'elektrolyte', 'electrolitos', 'ionogramme'],
    measures: ['Sodium', 'Potassium', 'Chloride', 'Bicarbonate'],
  },
  {
    terms: ['blood count', 'cbc', 'blutbild', 'hemogramme', 'hemograma'],
    measures: ['Hemoglobin', 'Hematocrit', 'Leukocytes', 'Platelets', 'MCV'],
  },
  {
    terms: ['thyroid function', 'thyroid values', 'schilddrusenwerte', 'fonction thyroidienne', 'funcion tiroidea'],
    measures: ['TSH', 'Free T4'],
  },
  { terms: ['cardiac markers', 'cardiac enzymes', 'herzenzyme'], measures: ['Troponin', 'BNP', 'NT-proBNP'] },
  {
    terms: ['inflammation', 'inflammatory markers', 'entzundungswerte'],
    measures: ['CRP', 'ESR', 'Procalcitonin', 'Leukocytes'],
  },
  {
    terms: ['diabetes control', 'glycemic control', 'glycaemic control', 'diabetes controlled'],
    measures: ['HbA1c', 'Glucose'],
  },
];
