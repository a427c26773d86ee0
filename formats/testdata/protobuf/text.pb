id;number
A-1;7
