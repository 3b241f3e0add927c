'use strict';
// Loaded before the page is drawn, so that it is drawn in the chosen colours at once.
try {
  const theme = localStorage.getItem('tamiz-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch { /* no storage: as the system has it */ }
